// What an operator gave back for a case.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "feaug/core/element.hpp"
#include "support/operators/tensor.hpp"

namespace conformance {

struct result {
  std::string name;   ///< as in `expected`
  std::string route;  ///< by which of several ways to the same output; may be empty
  tensor value;
  bool exact = false;  ///< counters: equal, whatever the tolerance
};

class results {
 public:
  /// Elements of any number type, 16-bit features among them; each widens without change.
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

}  // namespace conformance
