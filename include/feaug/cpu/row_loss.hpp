// From row losses to what the caller gets, and from the caller's cotangent to what each row's
// gradient weighs.
#pragma once

#include <cmath>
#include <string_view>

#include "feaug/core/error.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// log(1 + eˣ), exact to rounding for every x.
inline double softplus(double x) {
  return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}

/// 1 / (1 + e⁻ˣ)
inline double sigmoid(double x) {
  if (x >= 0) return 1.0 / (1.0 + std::exp(-x));
  const double e = std::exp(x);
  return e / (1.0 + e);
}

/// How N row losses are weighed and reduced. An empty `cotangent` stands for 1.
template <class C>
struct row_reduction {
  reduce reduction = reduce::mean;
  index_t rows = 0;
  vector_view<const C> weights = {};
  double gradient_scale = 1;
  vector_view<const C> cotangent = {};

  /// The elements of the loss: one, or one a row.
  [[nodiscard]] index_t outputs() const { return reduction == reduce::none ? rows : 1; }

  void validate(std::string_view op) const {
    if (!weights.empty())
      check::has_size(op, "row_weights", weights, rows, "one a row of the loss");
    check::readable(op, "row_weights", weights);
    check::finite(op, "gradient_scale", gradient_scale);
  }

  [[nodiscard]] double share() const {
    return reduction == reduce::mean ? 1.0 / static_cast<double>(rows) : 1.0;
  }

  /// What row i's loss is multiplied by.
  [[nodiscard]] double loss_weight(index_t i) const {
    return share() * (weights.empty() ? 1.0 : static_cast<double>(weights[i]));
  }

  /// What row i's gradient is multiplied by.
  [[nodiscard]] double gradient_weight(index_t i) const {
    double upstream = 1.0;
    if (!cotangent.empty())
      upstream = static_cast<double>(cotangent[reduction == reduce::none ? i : 0]);
    return loss_weight(i) * gradient_scale * upstream;
  }

  /// Writes the loss: row losses in row order into one sum, or each to its place.
  void write(const double* row_losses, vector_view<C> loss) const {
    if (reduction == reduce::none) {
      for (index_t i = 0; i < rows; ++i) loss[i] = static_cast<C>(loss_weight(i) * row_losses[i]);
      return;
    }
    double sum = 0;
    for (index_t i = 0; i < rows; ++i) sum += loss_weight(i) * row_losses[i];
    loss[0] = static_cast<C>(sum);
  }
};

/// A scalar that a gradient is written or added to.
template <class C>
void write_scalar_gradient(const operand<C, 1>& x, double gradient) {
  if (!x.wants_gradient()) return;
  C& destination = x.gradient[0];
  destination = static_cast<C>(
      x.mode == gradient_mode::overwrite ? gradient : static_cast<double>(destination) + gradient);
}

/// A sum whose terms come from blocks: added up in row order, whichever thread brought them.
inline double sum_in_order(const double* terms, index_t count) {
  double sum = 0;
  for (index_t i = 0; i < count; ++i) sum += terms[i];
  return sum;
}

/// A temperature: the option, or the learnable one in its place.
template <class C>
double temperature_of(std::string_view op, double temperature, const operand<C, 1>& learnable) {
  if (learnable.value.data == nullptr) {
    check::positive(op, "temperature", temperature);
    return temperature;
  }
  check::valid(op, "learnable_temperature", learnable);
  check::has_size(op, "learnable_temperature", learnable.value, 1, "a scalar");
  const auto value = static_cast<double>(learnable.value[0]);
  check::positive(op, "learnable_temperature", value);
  return value;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu
