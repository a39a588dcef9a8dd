// From the softmax of a row of logits: the row's loss, and its weights in the gradients.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

/// Terms of a row with positive p. With n = log Σ_{j≠p} exp s_j and margin = n − s_p,
///     loss = log Σ_j exp s_j − s_p = log(1 + exp(margin));   decoupled: loss = margin.
/// ∂loss/∂margin = 1 − softmax_p = σ(margin), decoupled 1. Both are accurate when s_p is much
/// larger than n; computing 1 − softmax_p by subtraction would cancel all digits there.
struct margin_terms {
  double loss;
  double coefficient;  ///< weight · ∂loss/∂margin

  /// s_p = positive_cosine / temperature. `weight` is the factor of the row's gradient.
  FEAUG_HD margin_terms(double log_sum_exp, double positive_cosine, double temperature,
                        double weight, bool decoupled = false) {
    const double margin = log_sum_exp - positive_cosine / temperature;
    loss = decoupled ? margin : softplus(margin);
    // If decoupled, a NaN margin reaches the gradient through the softmax.
    coefficient = decoupled ? weight : weight * sigmoid(margin);
  }
};

/// A row's part of ∂L/∂(1/temperature), from its coefficient: s = cosine / temperature.
FEAUG_HD constexpr double by_inverse_temperature(double coefficient, double mean_cosine,
                                                 double positive_cosine) {
  return coefficient * (mean_cosine - positive_cosine);
}

/// ∂L/∂temperature from ∂L/∂(1/temperature).
FEAUG_HD inline double by_temperature(double by_inverse, double temperature) {
  return -by_inverse / (temperature * temperature);
}

/// DCLW's weight of a pair's positive, 2 − N·softmax_i, from exp(logit_i − largest) and the sum of
/// these exponentials over the N pairs.
FEAUG_HD inline double positive_weight(index_t pairs, double exponential, double sum) {
  return 2.0 - static_cast<double>(pairs) * exponential / sum;
}

/// One side's part of the gradient with respect to the logits: coefficient_i · exp(s_ij −
/// log_sum_exp_i), and −positive_gradient(i) at row i's positive. The factor 1/temperature is not included; it is
/// applied once, to a row's finished gradient. Arrays are in the context's memory.
struct softmax_weights {
  const double* coefficient = nullptr;  ///< null: this side has no softmax
  const double* log_sum_exp = nullptr;
  const double* positive_weight = nullptr;  ///< factor of the positive's logit; null: 1

  [[nodiscard]] FEAUG_HD bool given() const { return coefficient != nullptr; }
  /// The weight with which row i is pulled to its positive.
  [[nodiscard]] FEAUG_HD double positive_gradient(index_t i) const {
    if (coefficient == nullptr) return 0;
    return positive_weight == nullptr ? coefficient[i] : coefficient[i] * positive_weight[i];
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail

#include "feaug/header_end.hpp"
