// What an operator gave back for a case.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "tensor.hpp"

namespace conformance {

struct result {
  std::string name;   ///< as in `expected`
  std::string route;  ///< by which of several ways to the same output; may be empty
  tensor value;
  bool exact = false;  ///< counters: equal, whatever the tolerance
};

class results {
 public:
  /// Elements of any number type; float32 widens without change.
  template <class Number>
  void add(std::string name, std::vector<std::int64_t> shape, const std::vector<Number>& data,
           std::string route = "") {
    all_.push_back({.name = std::move(name),
                    .route = std::move(route),
                    .value = {.shape = std::move(shape), .data = {data.begin(), data.end()}}});
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
