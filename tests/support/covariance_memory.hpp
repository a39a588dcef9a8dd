// Memory of running_covariance and running_variance. It is initialised with NaN, because an empty
// state may contain anything.
#pragma once

#include <limits>
#include <vector>

#include "feaug/cpu/augment/running_covariance.hpp"
#include "support/test_matrix.hpp"

namespace testing {

struct covariance_memory {
  std::vector<double> mean;
  test_matrix<double> covariance;
  test_matrix<double> factor;
  index_t count = 0;

  explicit covariance_memory(index_t cols)
      : mean(static_cast<std::size_t>(cols), std::numeric_limits<double>::quiet_NaN()),
        covariance(cols, cols, 1),
        factor(cols, cols, 2) {
    covariance.fill(std::numeric_limits<double>::quiet_NaN());
    factor.fill(std::numeric_limits<double>::quiet_NaN());
  }

  [[nodiscard]] feaug::running_covariance<> view() {
    return {.mean = {mean.data(), covariance.cols()},
            .covariance = covariance.view(),
            .factor = factor.view(),
            .count = &count};
  }
};

struct variance_memory {
  std::vector<double> mean;
  std::vector<double> variance;
  std::vector<double> deviation;
  index_t count = 0;

  explicit variance_memory(index_t cols)
      : mean(static_cast<std::size_t>(cols), std::numeric_limits<double>::quiet_NaN()),
        variance(mean),
        deviation(mean) {}

  [[nodiscard]] feaug::running_variance<> view() {
    const auto cols = static_cast<index_t>(mean.size());
    return {.mean = {mean.data(), cols},
            .variance = {variance.data(), cols},
            .deviation = {deviation.data(), cols},
            .count = &count};
  }
};

}  // namespace testing
