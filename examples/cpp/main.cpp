// Runs a bundle: repeats the episodes in its parity.npz, compares, and measures what a step takes.
//
//   run_policy BUNDLE [STEPS]

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "npz.hpp"
#include "policy.hpp"

namespace {

void print(const Contract& contract) {
  std::printf("%s, a step every %g ms\nreadings, raw:\n", contract.task.c_str(), 1000.0 * contract.control_dt);
  for (const Element& reading : contract.readings) {
    std::printf("  %-32s %-14s %s\n", reading.name.c_str(), reading.unit.c_str(), reading.frame.c_str());
  }
  std::printf("actions, physical:\n");
  for (std::size_t i = 0; i < contract.actions.size(); ++i) {
    const Element& action = contract.actions[i];
    std::printf("  %-32s %-14s %g to %g %s\n", action.name.c_str(), action.unit.c_str(), double{contract.low[i]},
                double{contract.high[i]}, action.frame.c_str());
  }
}

const npz::Array& recorded(const npz::Arrays& golden, const std::string& name) {
  const auto found = golden.find(name);
  if (found == golden.end()) throw std::runtime_error("parity.npz holds no " + name);
  return found->second;
}

// Largest |got - expected| / scale. Not std::max, which would let a NaN go unnoticed.
double difference(const std::vector<float>& got, const std::vector<float>& expected, const std::vector<float>& scale) {
  if (got.size() != expected.size()) throw std::runtime_error("parity.npz belongs to another policy");
  double worst = 0.0;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(double{got[i]} - double{expected[i]}) / double{scale[i]};
    if (!(error <= worst)) worst = error;
  }
  return worst;
}

// Repeats the recorded episodes; the largest difference of actions (in units of their scale) and of the memory.
double replay(Policy& policy, const npz::Arrays& golden) {
  const npz::Array& readings = recorded(golden, "readings");
  const npz::Array& step = recorded(golden, "step");
  const npz::Array& actions = recorded(golden, "actions");
  double worst = 0.0;
  for (std::size_t t = 0; t < readings.rows(); ++t) {
    if (step.row(t).at(0) == 0.0F) policy.reset();
    std::vector<double> errors = {difference(policy.step(readings.row(t)), actions.row(t), policy.contract().scale)};
    for (std::size_t i = 0; i < policy.memory().size(); ++i) {
      const std::vector<float>& got = policy.memory()[i];
      const std::vector<float> expected = recorded(golden, policy.contract().memory[i].name).row(t);
      errors.push_back(difference(got, expected, std::vector<float>(got.size(), 1.0F)));
    }
    for (double error : errors) {
      if (!(error <= worst)) worst = error;
    }
  }
  return worst;
}

// Microseconds that each of `steps` steps took; the readings are those of the recording, over and over, or zeros.
std::vector<double> time_steps(Policy& policy, const npz::Arrays& golden, std::size_t steps) {
  std::vector<std::vector<float>> inputs = {std::vector<float>(policy.contract().readings.size())};
  if (const auto found = golden.find("readings"); found != golden.end()) {
    inputs.clear();
    for (std::size_t t = 0; t < found->second.rows(); ++t) inputs.push_back(found->second.row(t));
  }
  std::vector<double> times;
  times.reserve(steps);
  policy.reset();
  for (std::size_t i = 0; i < steps; ++i) {
    const auto start = std::chrono::steady_clock::now();
    policy.step(inputs[i % inputs.size()]);
    times.push_back(std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count());
  }
  std::sort(times.begin(), times.end());
  return times;
}

int run(const std::string& bundle, std::size_t steps) {
  Policy policy(bundle + "/policy.onnx");
  const Contract& contract = policy.contract();
  print(contract);
  npz::Arrays golden;
  const std::string recording = bundle + "/parity.npz";
  if (std::ifstream(recording)) {
    golden = npz::load(recording);
    const double worst = replay(policy, golden);
    std::printf("replayed %zu steps of parity.npz: largest difference %.1e, allowed %.0e\n",
                recorded(golden, "readings").rows(), worst, contract.tolerance);
    if (!(worst <= contract.tolerance)) throw std::runtime_error("this machine computes another policy; do not run it");
  } else {
    std::printf("there is no parity.npz: not compared, timed on zeros\n");
  }
  const std::vector<double> times = time_steps(policy, golden, steps);
  const auto percentile = [&](std::size_t p) { return times[(times.size() - 1) * p / 100]; };
  std::printf("%zu steps: p50 %.1f, p95 %.1f, p99 %.1f microseconds\n", times.size(), percentile(50), percentile(95),
              percentile(99));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  const long steps = args.size() < 2 ? 1000 : std::strtol(args[1].c_str(), nullptr, 10);
  if (args.empty() || args.size() > 2 || steps < 1 || steps > 1000000) {
    std::fprintf(stderr, "usage: run_policy BUNDLE [STEPS]   (1 to 1000000 steps, otherwise 1000)\n");
    return 2;
  }
  try {
    return run(args[0], static_cast<std::size_t>(steps));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "run_policy: error: %s\n", error.what());
    return 1;
  }
}
