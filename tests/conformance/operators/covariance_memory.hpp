// Memory of running_covariance and running_variance, initialised with NaN except for the count.
#pragma once

#include <cstddef>
#include <vector>

#include "feaug/augment/running_covariance.hpp"
#include "support/operators/arrays.hpp"
#include "support/operators/results.hpp"

namespace conformance {

template <class Backend>
class covariance_memory {
 public:
  explicit covariance_memory(feaug::index_t cols)
      : cols_(cols),
        mean_(unwritten<double>(static_cast<std::size_t>(cols))),
        covariance_(unwritten<double>(static_cast<std::size_t>(cols * cols))),
        factor_(unwritten<double>(static_cast<std::size_t>(cols * cols))) {}

  [[nodiscard]] feaug::running_covariance<Backend::space> view() {
    return {.mean = {mean_.data(), cols_},
            .covariance = {covariance_.data(), cols_, cols_},
            .factor = {factor_.data(), cols_, cols_},
            .count = count_.data()};
  }
  void add(results& to) const {
    to.add("mean", {cols_}, mean_.to_host());
    to.add("covariance", {cols_, cols_}, covariance_.to_host());
    to.add("factor", {cols_, cols_}, factor_.to_host());
    to.add_counter("count", count_.to_host()[0]);
  }

 private:
  using numbers = typename Backend::template array<double>;
  feaug::index_t cols_;
  numbers mean_;
  numbers covariance_;
  numbers factor_;
  typename Backend::template array<feaug::index_t> count_{std::vector<feaug::index_t>{0}};
};

template <class Backend>
class variance_memory {
 public:
  explicit variance_memory(feaug::index_t cols)
      : cols_(cols),
        mean_(unwritten<double>(static_cast<std::size_t>(cols))),
        variance_(unwritten<double>(static_cast<std::size_t>(cols))),
        deviation_(unwritten<double>(static_cast<std::size_t>(cols))) {}

  [[nodiscard]] feaug::running_variance<Backend::space> view() {
    return {.mean = {mean_.data(), cols_},
            .variance = {variance_.data(), cols_},
            .deviation = {deviation_.data(), cols_},
            .count = count_.data()};
  }
  void add(results& to) const {
    to.add("mean", {cols_}, mean_.to_host());
    to.add("variance", {cols_}, variance_.to_host());
    to.add("deviation", {cols_}, deviation_.to_host());
    to.add_counter("count", count_.to_host()[0]);
  }

 private:
  using numbers = typename Backend::template array<double>;
  feaug::index_t cols_;
  numbers mean_;
  numbers variance_;
  numbers deviation_;
  typename Backend::template array<feaug::index_t> count_{std::vector<feaug::index_t>{0}};
};

}  // namespace conformance
