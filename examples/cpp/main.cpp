// Runs a bundle: repeats the episodes in its parity.npz, compares, and measures what a step takes.
//
//   run_policy BUNDLE [STEPS]

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "npz.hpp"
#include "policy.hpp"

namespace {

void print(const char* title, const std::vector<Element>& elements) {
  std::printf("%s\n", title);
  for (const Element& element : elements) {
    std::printf("  %-32s %-14s %s\n", element.name.c_str(), element.unit.c_str(), element.frame.c_str());
  }
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
  const npz::Array &readings = golden.at("readings"), &step = golden.at("step"), &actions = golden.at("actions");
  double worst = 0.0;
  for (std::size_t t = 0; t < readings.rows(); ++t) {
    if (step.values.at(t) == 0.0) policy.reset();
    std::vector<double> errors = {difference(policy.step(readings.row(t)), actions.row(t), policy.contract().scale)};
    for (std::size_t i = 0; i < policy.memory().size(); ++i) {
      const std::vector<float>& got = policy.memory()[i];
      const std::vector<float> expected = golden.at(policy.contract().memory[i].name).row(t);
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
  std::printf("%s, a step every %g ms\n", contract.task.c_str(), 1000.0 * contract.control_dt);
  print("readings, raw:", contract.readings);
  print("actions, physical:", contract.actions);

  npz::Arrays golden;
  const std::string recording = bundle + "/parity.npz";
  if (std::ifstream(recording)) {
    golden = npz::load(recording);
    const double worst = replay(policy, golden);
    std::printf("replayed %zu steps of parity.npz: largest difference %.1e, allowed %.0e\n",
                golden.at("readings").rows(), worst, contract.tolerance);
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
  try {
    const std::size_t steps = args.size() == 2 ? std::stoul(args[1]) : 1000;
    if (args.empty() || args.size() > 2 || steps == 0) throw std::invalid_argument("");
    return run(args[0], steps);
  } catch (const std::invalid_argument&) {
    std::fprintf(stderr, "usage: run_policy BUNDLE [STEPS]\n");
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "run_policy: error: %s\n", error.what());
    return 1;
  }
}
