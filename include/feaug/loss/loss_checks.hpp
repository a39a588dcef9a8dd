// The checks that all losses share.
#pragma once

#include <string_view>
#include <type_traits>

#include "feaug/core/error.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::check {

/// Where a forward pass writes: `outputs` elements of loss and, if wanted, `statistics_size`
/// statistics.
template <class C>
void loss_outputs(std::string_view op, const vector_view<C>& loss, index_t outputs,
                  const std::type_identity_t<vector_view<C>>& statistics, index_t statistics_size) {
  writable(op, "loss", loss);
  has_size(op, "loss", loss, outputs, outputs == 1 ? "the reduced loss" : "a loss a row");
  writable(op, "statistics", statistics);
  if (!statistics.empty())
    has_size(op, "statistics", statistics, statistics_size, "a number a row of the loss");
}

/// A backward pass has something to start from.
template <class C>
void has_cotangent(std::string_view op, const vector_view<C>& cotangent) {
  if (cotangent.empty())
    fail(op, "cotangent", "no elements", "one, or one a row with reduce::none");
}

/// What a backward pass reads: the statistics of the forward pass and a cotangent.
template <class C>
void backward_inputs(std::string_view op, const vector_view<C>& statistics, index_t statistics_size,
                     const std::type_identity_t<vector_view<C>>& cotangent) {
  readable(op, "statistics", statistics);
  has_size(op, "statistics", statistics, statistics_size, "as the forward pass wrote them");
  has_cotangent(op, cotangent);
}

/// A loss that is returned is one number.
inline void one_number(std::string_view op, reduce reduction) {
  if (reduction == reduce::none)
    fail(op, "reduction", "none", "mean or sum, or a view for a loss a row");
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::check
