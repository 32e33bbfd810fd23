// A reader for JSON as RFC 8259 has it: enough for a contract, which is ASCII.
#pragma once

#include <cctype>
#include <cstddef>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace json {

class Value {
 public:
  enum class Type { null, boolean, number, text, array, object };

  Value() = default;
  explicit Value(bool value) : type_(Type::boolean), number_(value) {}
  explicit Value(double value) : type_(Type::number), number_(value) {}
  explicit Value(std::string value) : type_(Type::text), text_(std::move(value)) {}
  explicit Value(std::vector<Value> value) : type_(Type::array), array_(std::move(value)) {}
  explicit Value(std::map<std::string, Value> value) : type_(Type::object), object_(std::move(value)) {}

  // Each throws std::runtime_error where the value is of another type, `at` also where the key is missing.
  double number() const {
    expect(Type::number, "a number");
    return number_;
  }
  const std::string& text() const {
    expect(Type::text, "a text");
    return text_;
  }
  const std::vector<Value>& array() const {
    expect(Type::array, "an array");
    return array_;
  }
  const std::map<std::string, Value>& object() const {
    expect(Type::object, "an object");
    return object_;
  }

  const Value& at(const std::string& key) const {
    const auto found = object().find(key);
    if (found == object_.end()) throw std::runtime_error("key '" + key + "' is missing");
    return found->second;
  }

  std::vector<float> floats() const {
    std::vector<float> result;
    for (const Value& item : array()) result.push_back(static_cast<float>(item.number()));
    return result;
  }

 private:
  void expect(Type type, const char* what) const {
    if (type_ != type) throw std::runtime_error(std::string("expected ") + what);
  }

  Type type_ = Type::null;
  double number_ = 0.0;
  std::string text_;
  std::vector<Value> array_;
  std::map<std::string, Value> object_;
};

class Parser {
 public:
  explicit Parser(const std::string& text) : text_(text) {}

  Value document() {
    Value result = value();
    if (skip_space() != '\0') fail("nothing more");
    return result;
  }

 private:
  [[noreturn]] void fail(const std::string& expected) const {
    throw std::runtime_error("not valid JSON: expected " + expected + " at byte " + std::to_string(at_));
  }

  // The next character that is no space; '\0' at the end.
  char skip_space() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  void take(char expected) {
    if (skip_space() != expected) fail(std::string("'") + expected + "'");
    ++at_;
  }

  Value take_word(const std::string& word, Value value) {
    if (text_.compare(at_, word.size(), word) != 0) fail("a value");
    at_ += word.size();
    return value;
  }

  Value value() {
    switch (skip_space()) {
      case '{': return nested([this] { return object(); });
      case '[': return nested([this] { return array(); });
      case '"': return Value(string());
      case 't': return take_word("true", Value(true));
      case 'f': return take_word("false", Value(false));
      case 'n': return take_word("null", Value());
      default: return Value(number());
    }
  }

  template <typename Read>
  Value nested(Read read) {
    if (++depth_ > 100) fail("less than 100 levels");  // the stack is finite, the file is anybody's
    Value result = read();
    --depth_;
    return result;
  }

  Value object() {
    std::map<std::string, Value> result;
    take('{');
    while (skip_space() != '}') {
      if (!result.empty()) take(',');
      skip_space();
      std::string key = string();
      take(':');
      result[std::move(key)] = value();
    }
    take('}');
    return Value(std::move(result));
  }

  Value array() {
    std::vector<Value> result;
    take('[');
    while (skip_space() != ']') {
      if (!result.empty()) take(',');
      result.push_back(value());
    }
    take(']');
    return Value(std::move(result));
  }

  double number() {
    std::size_t length = 0;
    try {
      const double result = std::stod(text_.substr(at_, 40), &length);
      at_ += length;
      return result;
    } catch (const std::logic_error&) {
      fail("a value");
    }
  }

  std::string string() {
    std::string result;
    take('"');
    while (at_ < text_.size() && text_[at_] != '"') result += text_[at_] == '\\' ? escaped() : text_[at_++];
    take('"');
    return result;
  }

  char escaped() {
    static const std::map<char, char> plain = {{'"', '"'},  {'\\', '\\'}, {'/', '/'},  {'b', '\b'},
                                               {'f', '\f'}, {'n', '\n'},  {'r', '\r'}, {'t', '\t'}};
    const char kind = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    at_ += 2;
    if (const auto found = plain.find(kind); found != plain.end()) return found->second;
    if (kind != 'u' || at_ + 4 > text_.size()) fail("an escape");
    at_ += 4;
    return '?';  // names and units are for people to read; beyond ASCII they are shown as a question mark
  }

  const std::string& text_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

inline Value parse(const std::string& text) { return Parser(text).document(); }

}  // namespace json
