// One exported policy on ONNX Runtime's C API: named readings in, physical action out, memory kept in between.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <onnxruntime_c_api.h>

// An element of the readings or of the action.
struct Element {
  std::string name, unit, frame;
};

// A tensor of the memory: what comes out of one step goes into the next, and it is zero at the start of an episode.
struct Memory {
  std::string name, input, output;
  std::vector<std::int64_t> shape;
};

// The part of the contract that running the policy takes; docs/deployment.md describes all of it.
struct Contract {
  std::string task;
  double control_dt = 0.0;            // seconds between two steps
  std::vector<Element> readings;      // what `Policy::step` takes, in this order, raw
  std::vector<Element> actions;       // what it returns
  std::vector<float> scale, offset;   // physical action = normalised action * scale + offset
  std::vector<float> low, high;       // of the physical action
  std::vector<Memory> memory;
  bool feedback = false;              // whether the normalised action before is the tail of the input
  double tolerance = 0.0;             // largest difference from parity.npz that is allowed
};

// Throws std::runtime_error for a contract of another version, or a damaged one.
Contract parse_contract(const std::string& text);

// What ONNX Runtime's C API hands out is given back with `api->ReleaseX`.
template <typename T>
using Handle = std::unique_ptr<T, void (*)(T*)>;

class Policy {
 public:
  // Opens policy.onnx and reads the contract from its metadata. Throws std::runtime_error, saying what is wrong.
  explicit Policy(const std::string& file);

  const Contract& contract() const { return contract_; }

  // Call at the start of every episode and after every interruption: the memory describes what just happened.
  void reset();

  // The physical action [A] for the raw readings [D] of one control step.
  // Throws std::runtime_error for readings that are not finite, with the memory as before the call, and for an action
  // that is not. The policy must never be asked about NaN: ONNX Runtime's LSTM turns it into a plausible number.
  const std::vector<float>& step(const std::vector<float>& readings);

  // Memory after the last step, one vector for each of `contract().memory`.
  const std::vector<std::vector<float>>& memory() const { return state_; }

 private:
  std::string metadata(const std::string& key) const;
  void bind();
  void infer();
  OrtValue* tensor(std::vector<float>& data, const std::vector<std::int64_t>& shape);

  Contract contract_;
  std::string file_;
  Handle<OrtEnv> env_;
  Handle<OrtSession> session_;
  Handle<OrtMemoryInfo> cpu_;
  // Tensors are views of these buffers, which therefore never move: a step allocates nothing of its own.
  std::vector<float> input_, action_;
  std::vector<std::vector<float>> state_, next_state_;
  std::vector<Handle<OrtValue>> tensors_;
  std::vector<const OrtValue*> inputs_;
  std::vector<OrtValue*> outputs_;
  std::vector<std::string> names_;
  std::vector<const char*> input_names_, output_names_;
};
