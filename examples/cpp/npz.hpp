// Reads NumPy's .npz as np.savez writes it: a zip archive of .npy arrays, none of them compressed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace npz {

struct Array {
  std::vector<std::size_t> shape;
  std::vector<double> values;  // row by row

  std::size_t rows() const { return shape.empty() ? 0 : shape[0]; }
  std::size_t width() const { return rows() == 0 ? 0 : values.size() / rows(); }

  std::vector<float> row(std::size_t index) const {
    if (index >= rows()) throw std::runtime_error("the arrays of the .npz differ in length");
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(index * width());
    return std::vector<float>(first, first + static_cast<std::ptrdiff_t>(width()));
  }
};

using Arrays = std::map<std::string, Array>;

namespace detail {

[[noreturn]] inline void fail(const std::string& why) { throw std::runtime_error("cannot read the .npz: " + why); }

// A little-endian number at a place in the file; zip and .npy are little-endian, and so is this machine.
template <typename T>
T at(const std::string& bytes, std::size_t place) {
  if (place > bytes.size() || bytes.size() - place < sizeof(T)) fail("it ends early");
  T result;
  std::memcpy(&result, bytes.data() + place, sizeof(T));
  return result;
}

inline std::string slice(const std::string& bytes, std::size_t place, std::size_t length) {
  if (place > bytes.size() || bytes.size() - place < length) fail("it ends early");
  return bytes.substr(place, length);
}

template <typename T>
std::vector<double> numbers(const std::string& data, std::size_t count) {
  if (data.size() / sizeof(T) != count || data.size() % sizeof(T) != 0) fail("an array has the wrong size");
  std::vector<double> result;
  result.reserve(count);
  for (std::size_t i = 0; i < count; ++i) result.push_back(static_cast<double>(at<T>(data, i * sizeof(T))));
  return result;
}

inline Array parse_npy(const std::string& bytes) {
  if (slice(bytes, 0, 6) != "\x93NUMPY" || at<std::uint8_t>(bytes, 6) != 1) fail("a member is no .npy of version 1");
  const std::size_t length = at<std::uint16_t>(bytes, 8);
  const std::string header = slice(bytes, 10, length);
  const std::string data = bytes.substr(10 + length);
  const std::size_t open = header.find('('), close = header.find(')');
  if (open == std::string::npos || close == std::string::npos) fail("an array has no shape");
  if (header.find("'fortran_order': False") == std::string::npos) fail("an array is not stored row by row");
  Array array;
  std::size_t count = 1;
  for (std::size_t i = open + 1; i < close; ++i) {
    if (header[i] < '0' || header[i] > '9') continue;
    std::size_t digits = 0;
    array.shape.push_back(std::stoull(header.substr(i, close - i), &digits));
    count *= array.shape.back();
    i += digits;
  }
  if (header.find("'<f4'") != std::string::npos) array.values = numbers<float>(data, count);
  else if (header.find("'<f8'") != std::string::npos) array.values = numbers<double>(data, count);
  else if (header.find("'<i8'") != std::string::npos) array.values = numbers<std::int64_t>(data, count);
  else if (header.find("'<i4'") != std::string::npos) array.values = numbers<std::int32_t>(data, count);
  else fail("an array is neither float32, float64, int32 nor int64");
  return array;
}

}  // namespace detail

// Throws std::runtime_error for a file that cannot be read.
inline Arrays load(const std::string& file) {
  using detail::at;
  std::ifstream stream(file, std::ios::binary);
  if (!stream) detail::fail("there is no file " + file);
  const std::string bytes{std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};

  // The directory stands at the end of the archive and alone gives the true sizes (APPNOTE.TXT, 4.3.12 and 4.3.16).
  const std::size_t end = bytes.rfind("PK\x05\x06");
  if (end == std::string::npos) detail::fail(file + " is no zip archive");
  const std::size_t members = at<std::uint16_t>(bytes, end + 10);
  std::size_t entry = at<std::uint32_t>(bytes, end + 16);
  Arrays arrays;
  for (std::size_t i = 0; i < members; ++i) {
    if (at<std::uint32_t>(bytes, entry) != 0x02014b50) detail::fail("its directory is damaged");
    if (at<std::uint16_t>(bytes, entry + 10) != 0) detail::fail("it is compressed; export the policy again");
    const std::size_t size = at<std::uint32_t>(bytes, entry + 24), name_length = at<std::uint16_t>(bytes, entry + 28);
    const std::size_t local = at<std::uint32_t>(bytes, entry + 42);
    const std::string name = detail::slice(bytes, entry + 46, name_length);
    const std::size_t data =
        local + 30 + at<std::uint16_t>(bytes, local + 26) + at<std::uint16_t>(bytes, local + 28);
    arrays[name.substr(0, name.rfind(".npy"))] = detail::parse_npy(detail::slice(bytes, data, size));
    entry += 46 + name_length + at<std::uint16_t>(bytes, entry + 30) + at<std::uint16_t>(bytes, entry + 32);
  }
  return arrays;
}

}  // namespace npz
