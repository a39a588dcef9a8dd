// The outputs of an operator for a case.
#pragma once

#include <bit>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "feaug/core/element.hpp"
#include "support/operators/tensor.hpp"

namespace conformance {

struct result {
  std::string name;   ///< as in `expected`
  std::string route;  ///< one of several ways to compute the same output; may be empty
  tensor value;
  bool exact = false;  ///< counters: must be equal, whatever the tolerance
};

class results {
 public:
  /// Elements of any number type, also 16-bit features; the conversion is exact.
  template <class Number>
  void add(std::string name, std::vector<std::int64_t> shape, const std::vector<Number>& data,
           std::string route = "") {
    all_.push_back({.name = std::move(name), .route = std::move(route), .value = {}});
    tensor& value = all_.back().value;
    value.shape = std::move(shape);
    for (const Number& x : data) {
      if constexpr (feaug::element<Number>) {
        value.data.push_back(static_cast<double>(feaug::load(x)));
      } else {
        value.data.push_back(static_cast<double>(x));
      }
    }
  }

  void add_counter(std::string name, std::int64_t value) {
    all_.push_back({.name = std::move(name),
                    .route = "",
                    .value = {.shape = {}, .data = {static_cast<double>(value)}},
                    .exact = true});
  }

  [[nodiscard]] const std::vector<result>& all() const { return all_; }

 private:
  std::vector<result> all_;
};

/// Bit patterns of all numbers, so that NaN equals NaN.
inline std::vector<std::uint64_t> bits_of(const std::vector<result>& all) {
  std::vector<std::uint64_t> bits;
  for (const result& one : all) {
    for (const double x : one.value.data) bits.push_back(std::bit_cast<std::uint64_t>(x));
  }
  return bits;
}

}  // namespace conformance
