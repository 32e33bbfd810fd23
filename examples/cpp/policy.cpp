#include "policy.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <stdexcept>

#include "json.hpp"

namespace {

constexpr int kVersion = 2, kWarmUp = 10;

const OrtApi& api() {
  static const OrtApi* const found = OrtGetApiBase()->GetApi(ORT_API_VERSION);
  if (found == nullptr) {
    throw std::runtime_error(std::string("this ONNX Runtime (") + OrtGetApiBase()->GetVersionString() +
                             ") is older than the headers of this program");
  }
  return *found;
}

void check(OrtStatus* raw) {
  if (raw == nullptr) return;
  const Handle<OrtStatus> status(raw, api().ReleaseStatus);
  throw std::runtime_error(std::string("ONNX Runtime: ") + api().GetErrorMessage(raw));
}

// Calls `make(T**)` and owns what it made.
template <typename T, typename Make>
Handle<T> own(Make make, void (*release)(T*)) {
  T* made = nullptr;
  check(make(&made));
  return Handle<T>(made, release);
}

std::size_t count(const std::vector<std::int64_t>& shape) {
  return static_cast<std::size_t>(
      std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<std::int64_t>()));
}

bool finite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

std::vector<Element> elements(const json::Value& list) {
  std::vector<Element> result;
  for (const json::Value& item : list.array()) {
    result.push_back({item.at("name").text(), item.at("unit").text(), item.at("frame").text()});
  }
  return result;
}

std::vector<float> per_action(const json::Value& action, const std::string& key) {
  std::vector<float> result = action.at(key).floats();
  if (result.size() != action.at("elements").array().size() || !finite(result)) {
    throw std::runtime_error("action." + key + " is not one finite number for each element");
  }
  return result;
}

Contract read_contract(const json::Value& document) {
  Contract contract;
  contract.task = document.at("task").text();
  contract.control_dt = document.at("control_dt").number();
  for (const json::Value& term : document.at("obs").array()) {
    if (contract.feedback) throw std::runtime_error("the action before has to be the last term of the observation");
    contract.feedback = term.at("source").text() == "feedback";
    if (contract.feedback) continue;
    for (Element& element : elements(term.at("elements"))) contract.readings.push_back(std::move(element));
  }
  const json::Value& action = document.at("action");
  contract.actions = elements(action.at("elements"));
  contract.scale = per_action(action, "scale");
  contract.offset = per_action(action, "offset");
  contract.low = per_action(action, "low");
  contract.high = per_action(action, "high");
  for (const auto& [name, state] : document.at("state").object()) {
    Memory memory{name, state.at("input").text(), state.at("output").text(), {}};
    for (float size : state.at("shape").floats()) memory.shape.push_back(static_cast<std::int64_t>(size));
    contract.memory.push_back(std::move(memory));
  }
  contract.tolerance = document.at("parity").at("tolerance").number();
  return contract;
}

}  // namespace

Contract parse_contract(const std::string& text) {
  try {
    const json::Value document = json::parse(text);
    const json::Value& schema = document.at("schema");
    if (schema.at("name").text() != "sim2real-policy" || schema.at("version").number() != kVersion) {
      throw std::runtime_error("it has another schema than sim2real-policy, version " + std::to_string(kVersion));
    }
    return read_contract(document);
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(std::string("the contract cannot be used: ") + error.what() + "; export the policy again");
  }
}

Policy::Policy(const std::string& file)
    : file_(file),
      env_(own<OrtEnv>([](OrtEnv** out) { return api().CreateEnv(ORT_LOGGING_LEVEL_ERROR, "policy", out); },
                       api().ReleaseEnv)),
      session_(nullptr, api().ReleaseSession),
      cpu_(own<OrtMemoryInfo>(
          [](OrtMemoryInfo** out) { return api().CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, out); },
          api().ReleaseMemoryInfo)) {
  const auto options = own<OrtSessionOptions>(api().CreateSessionOptions, api().ReleaseSessionOptions);
  // One thread that sleeps between steps: the default pool spins on every core and starves the control loop.
  check(api().SetIntraOpNumThreads(options.get(), 1));
  check(api().SetInterOpNumThreads(options.get(), 1));
  check(api().SetSessionExecutionMode(options.get(), ORT_SEQUENTIAL));
  check(api().AddSessionConfigEntry(options.get(), "session.intra_op.allow_spinning", "0"));
  check(api().AddSessionConfigEntry(options.get(), "session.inter_op.allow_spinning", "0"));
  session_ = own<OrtSession>(
      [&](OrtSession** out) { return api().CreateSession(env_.get(), file.c_str(), options.get(), out); },
      api().ReleaseSession);
  contract_ = parse_contract(metadata("contract"));
  bind();
  // The first runs allocate; the robot should not wait for that in the middle of its first motion.
  for (int i = 0; i < kWarmUp; ++i) infer();
}

std::string Policy::metadata(const std::string& key) const {
  OrtAllocator* allocator = nullptr;  // the default one; not ours to release
  check(api().GetAllocatorWithDefaultOptions(&allocator));
  const auto model = own<OrtModelMetadata>(
      [&](OrtModelMetadata** out) { return api().SessionGetModelMetadata(session_.get(), out); },
      api().ReleaseModelMetadata);
  char* raw = nullptr;
  check(api().ModelMetadataLookupCustomMetadataMap(model.get(), allocator, key.c_str(), &raw));
  if (raw == nullptr) throw std::runtime_error(file_ + " holds no contract in its metadata: not a sim2real policy");
  const std::string result(raw);
  check(api().AllocatorFree(allocator, raw));
  return result;
}

void Policy::bind() {
  const std::size_t actions = contract_.actions.size();
  const std::size_t width = contract_.readings.size() + (contract_.feedback ? actions : 0);
  input_.resize(width);
  action_.resize(actions);
  names_ = {"obs", "actions"};
  std::vector<std::vector<std::int64_t>> in_shapes = {{1, static_cast<std::int64_t>(width)}};
  std::vector<std::vector<std::int64_t>> out_shapes = {{1, static_cast<std::int64_t>(actions)}};
  for (const Memory& memory : contract_.memory) {
    names_.insert(names_.end(), {memory.input, memory.output});
    in_shapes.push_back(memory.shape);
    out_shapes.push_back(memory.shape);
    state_.emplace_back(count(memory.shape));
    next_state_.emplace_back(count(memory.shape));
  }
  // Only now: the buffers and names have stopped moving.
  for (std::size_t i = 0; i < in_shapes.size(); ++i) {
    input_names_.push_back(names_[2 * i].c_str());
    output_names_.push_back(names_[2 * i + 1].c_str());
    inputs_.push_back(tensor(i == 0 ? input_ : state_[i - 1], in_shapes[i]));
    outputs_.push_back(tensor(i == 0 ? action_ : next_state_[i - 1], out_shapes[i]));
  }
}

OrtValue* Policy::tensor(std::vector<float>& data, const std::vector<std::int64_t>& shape) {
  tensors_.push_back(own<OrtValue>(
      [&](OrtValue** out) {
        return api().CreateTensorWithDataAsOrtValue(cpu_.get(), data.data(), data.size() * sizeof(float), shape.data(),
                                                    shape.size(), ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, out);
      },
      api().ReleaseValue));
  return tensors_.back().get();
}

void Policy::infer() {
  // Refuses a model whose names, types or shapes are others than the contract's.
  check(api().Run(session_.get(), nullptr, input_names_.data(), inputs_.data(), inputs_.size(), output_names_.data(),
                  outputs_.size(), outputs_.data()));
}

void Policy::reset() {
  std::fill(input_.begin(), input_.end(), 0.0F);
  for (std::vector<float>& state : state_) std::fill(state.begin(), state.end(), 0.0F);
}

const std::vector<float>& Policy::step(const std::vector<float>& readings) {
  const std::size_t width = contract_.readings.size();
  if (readings.size() != width) {
    throw std::runtime_error("got " + std::to_string(readings.size()) + " readings, expected " + std::to_string(width));
  }
  for (std::size_t i = 0; i < width; ++i) {
    if (!std::isfinite(readings[i])) {
      throw std::runtime_error("the reading " + contract_.readings[i].name + " is not finite; hold the last command");
    }
  }
  std::copy(readings.begin(), readings.end(), input_.begin());
  infer();
  if (!finite(action_)) throw std::runtime_error("the policy's answer is not finite; stop the robot");
  for (std::size_t i = 0; i < state_.size(); ++i) {
    std::copy(next_state_[i].begin(), next_state_[i].end(), state_[i].begin());
  }
  for (std::size_t i = 0; contract_.feedback && i < action_.size(); ++i) {
    const float normalised = (action_[i] - contract_.offset[i]) / contract_.scale[i];
    input_[width + i] = std::clamp(normalised, -1.0F, 1.0F);
  }
  return action_;
}
