// CPU code shared by the losses: reduction of row losses, scalar gradients and scalar options.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Writes the loss: the weighted sum of row losses, in row order, or every row loss.
template <class C>
void write_loss(const feaug::detail::row_reduction<C>& reduction, const double* row_losses,
                vector_view<C> loss) {
  if (reduction.reduction == reduce::none) {
    for (index_t i = 0; i < reduction.rows; ++i)
      loss[i] = static_cast<C>(reduction.loss_weight(i) * row_losses[i]);
    return;
  }
  double sum = 0;
  for (index_t i = 0; i < reduction.rows; ++i) sum += reduction.loss_weight(i) * row_losses[i];
  loss[0] = static_cast<C>(sum);
}

/// Writes or adds the gradient of a scalar operand.
template <class C>
void write_scalar_gradient(const operand<C, 1>& x, double gradient) {
  if (!x.wants_gradient()) return;
  C& destination = x.gradient[0];
  destination = static_cast<C>(
      x.mode == gradient_mode::overwrite ? gradient : static_cast<double>(destination) + gradient);
}

/// A sum in index order, so that it does not depend on which thread computed which terms.
inline double sum_in_order(const double* terms, index_t count) {
  double sum = 0;
  for (index_t i = 0; i < count; ++i) sum += terms[i];
  return sum;
}

/// The value of a scalar parameter such as a temperature: the learnable value if there is one, else
/// the option. Requires checked arguments.
template <class C>
double number_of(double option, const operand<C, 1>& learnable) {
  return learnable.value.data == nullptr ? option : static_cast<double>(learnable.value[0]);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
