// Softmax over the similarities of a query's neighbours, shared by all backends.
#pragma once

#include "feaug/header_begin.hpp"

#include <limits>

#include "feaug/core/elementary.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// take adds similarities one by one, in any order; afterwards weight gives exp(s/τ) / Σ exp(s/τ),
/// numerically stable since the largest similarity is subtracted. A similarity that is NaN makes
/// every weight NaN.
class neighbour_softmax {
 public:
  FEAUG_HD explicit neighbour_softmax(double temperature) : inverse_temperature_(1 / temperature) {}

  FEAUG_HD void take(double similarity) {
    if (similarity > largest_) {
      total_ *= feaug::detail::exp((largest_ - similarity) * inverse_temperature_);
      largest_ = similarity;
    }
    total_ += feaug::detail::exp((similarity - largest_) * inverse_temperature_);
  }
  [[nodiscard]] FEAUG_HD double weight(double similarity) const {
    return feaug::detail::exp((similarity - largest_) * inverse_temperature_) / total_;
  }
  /// The gradient with respect to a similarity, from the gradient with respect to its weight and
  /// the mean Σ weight · gradient.
  [[nodiscard]] FEAUG_HD double slope(double weight, double gradient, double mean) const {
    return weight * (gradient - mean) * inverse_temperature_;
  }

 private:
  double inverse_temperature_;
  // A constant, since device code must not call functions of numeric_limits.
  static constexpr double nothing = -std::numeric_limits<double>::infinity();
  double largest_ = nothing;
  double total_ = 0;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
