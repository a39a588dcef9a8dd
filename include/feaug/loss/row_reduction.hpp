// Weights and reduction of row losses, and the factor of each row's gradient.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

/// log(1 + eˣ), exact to rounding for every x.
FEAUG_HD inline double softplus(double x) {
  return x > 0 ? x + feaug::detail::log1p(feaug::detail::exp(-x))
               : feaug::detail::log1p(feaug::detail::exp(x));
}

/// 1 / (1 + e⁻ˣ)
FEAUG_HD inline double sigmoid(double x) {
  if (x >= 0) return 1.0 / (1.0 + feaug::detail::exp(-x));
  const double e = feaug::detail::exp(x);
  return e / (1.0 + e);
}

/// Weights and reduction of N row losses. An empty `cotangent` means 1.
template <class C, memory_space Space = memory_space::host>
struct row_reduction {
  reduce reduction = reduce::mean;
  index_t rows = 0;
  vector_view<const C, Space> weights = {};
  double gradient_scale = 1;
  vector_view<const C, Space> cotangent = {};
  const index_t* counted = nullptr;  ///< the number that a mean divides by; null: rows

  /// Number of elements of the loss: one, or one per row.
  [[nodiscard]] FEAUG_HD index_t outputs() const { return reduction == reduce::none ? rows : 1; }

  void validate(std::string_view op) const {
    if (!weights.empty())
      check::has_size(op, "row_weights", weights, rows, "one a row of the loss");
    check::readable(op, "row_weights", weights);
    check::finite(op, "gradient_scale", gradient_scale);
    check::readable(op, "cotangent", cotangent);
    if (!cotangent.empty())
      check::has_size(op, "cotangent", cotangent, outputs(), "the elements of the loss");
  }

  [[nodiscard]] FEAUG_HD double share() const {
    if (reduction != reduce::mean) return 1.0;
    const index_t over = counted == nullptr ? rows : *counted;
    return over > 0 ? 1.0 / static_cast<double>(over) : 0.0;
  }

  /// The factor of row i's loss.
  [[nodiscard]] FEAUG_HD double loss_weight(index_t i) const {
    return share() * (weights.empty() ? 1.0 : static_cast<double>(weights[i]));
  }

  /// The factor of row i's gradient.
  [[nodiscard]] FEAUG_HD double gradient_weight(index_t i) const {
    double upstream = 1.0;
    if (!cotangent.empty())
      upstream = static_cast<double>(cotangent[reduction == reduce::none ? i : 0]);
    return loss_weight(i) * gradient_scale * upstream;
  }
};

/// The checked reduction of a call with these options. If the options have no `reduction`, it is
/// the sum of `rows` losses; if they have no `row_weights`, all weights are 1.
template <element T, memory_space S, class Options>
row_reduction<compute_t<T>, S> reduction_of(std::string_view op, const Options& options,
                                            index_t rows,
                                            const loss_vectors<compute_t<T>, S>& vectors) {
  row_reduction<compute_t<T>, S> reduction = {.reduction = reduce::sum,
                                              .rows = rows,
                                              .gradient_scale = options.gradient_scale,
                                              .cotangent = vectors.cotangent};
  if constexpr (requires { options.reduction; }) reduction.reduction = options.reduction;
  if constexpr (requires { options.row_weights; }) reduction.weights = options.row_weights;
  reduction.validate(op);
  return reduction;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail

#include "feaug/header_end.hpp"
