// Argument checks shared by all losses.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>
#include <type_traits>

#include "feaug/core/argument_name.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

/// The vectors of a call of a loss; empty: none. C is compute_t of the features' type.
template <class C, memory_space S = memory_space::host>
struct loss_vectors {
  vector_view<C, S> statistics = {};             ///< written
  vector_view<C, S> loss = {};                   ///< written
  vector_view<const C, S> cotangent = {};        ///< read
  vector_view<const C, S> kept_statistics = {};  ///< read: those of the forward pass
};

}  // namespace detail

namespace check {

/// The arguments that losses have in common: the vectors of the call, and what its options have of
/// row weights and learnable numbers. Add the others, then call require_apart.
template <class Options, class C, memory_space S>
call_memory loss_memory(std::string_view op, const Options& options,
                        const feaug::detail::loss_vectors<C, S>& vectors) {
  call_memory memory(op);
  memory.writes("statistics", vectors.statistics).writes("loss", vectors.loss);
  memory.reads("cotangent", vectors.cotangent).reads("statistics", vectors.kept_statistics);
  if constexpr (requires { options.row_weights; }) memory.reads("row_weights", options.row_weights);
  if constexpr (requires { options.learnable_temperature; })
    memory.uses("learnable_temperature", options.learnable_temperature);
  if constexpr (requires { options.learnable_scale; })
    memory.uses("learnable_scale", options.learnable_scale);
  if constexpr (requires { options.learnable_bias; })
    memory.uses("learnable_bias", options.learnable_bias);
  return memory;
}

/// Checks the two views of a batch: not empty, of the same shape. Row i of one corresponds to row i
/// of the other.
template <class T, memory_space S>
void two_views(std::string_view op, std::string_view first, const operand<T, 2, S>& a,
               std::string_view second, const operand<T, 2, S>& b) {
  valid(op, first, a);
  valid(op, second, b);
  not_empty(op, first, a.value);
  has_shape(op, second, b.value, a.value.rows(), a.value.cols(), first);
}

/// Two views for a loss that takes statistics over the batch: at least two rows.
template <class T, memory_space S>
void two_batches(std::string_view op, std::string_view first, const operand<T, 2, S>& a,
                 std::string_view second, const operand<T, 2, S>& b) {
  two_views(op, first, a, second, b);
  if (a.value.rows() < 2)
    fail(op, first, "1 row", "at least 2, since the loss is of statistics over rows");
}

/// The outputs of a forward pass: `outputs` elements of loss and, if wanted, `statistics_size`
/// statistics.
template <class C, memory_space S>
void loss_outputs(std::string_view op, const vector_view<C, S>& loss, index_t outputs,
                  const std::type_identity_t<vector_view<C, S>>& statistics,
                  index_t statistics_size) {
  writable(op, "loss", loss);
  has_size(op, "loss", loss, outputs, outputs == 1 ? "the reduced loss" : "a loss a row");
  writable(op, "statistics", statistics);
  if (!statistics.empty())
    has_size(op, "statistics", statistics, statistics_size, "a number a row of the loss");
}

/// A backward pass needs a non-empty cotangent.
template <class C, memory_space S>
void has_cotangent(std::string_view op, const vector_view<C, S>& cotangent) {
  if (cotangent.empty())
    fail(op, "cotangent", "no elements", "one, or one a row with reduce::none");
}

/// The inputs of a backward pass: the statistics of the forward pass and a cotangent.
template <class C, memory_space S>
void backward_inputs(std::string_view op, const vector_view<C, S>& statistics,
                     index_t statistics_size,
                     const std::type_identity_t<vector_view<C, S>>& cotangent) {
  readable(op, "statistics", statistics);
  has_size(op, "statistics", statistics, statistics_size, "as the forward pass wrote them");
  has_cotangent(op, cotangent);
}

/// Functions that return the loss need a reduction to one number.
inline void one_number(std::string_view op, reduce reduction) {
  if (reduction == reduce::none)
    fail(op, "reduction", "none", "mean or sum, or a view for a loss a row");
}

/// Applies `rule` to a number, or to the learnable one that replaces it. The value of a learnable
/// number in device memory is not checked.
template <class C, memory_space S, class Rule>
void number(std::string_view op, std::string_view name, double option,
            const operand<C, 1, S>& learnable, const Rule& rule) {
  if (learnable.value.data == nullptr) {
    rule(op, name, option);
    return;
  }
  const argument_name learnable_name("learnable_", name);
  valid(op, learnable_name, learnable);
  has_size(op, learnable_name, learnable.value, 1, "a scalar");
  if constexpr (S == memory_space::host)
    rule(op, learnable_name, static_cast<double>(learnable.value[0]));
}

/// A temperature, or the learnable one that replaces it. If a temperature in device memory is not
/// above 0, the loss is NaN.
template <class C, memory_space S>
void temperature(std::string_view op, double option, const operand<C, 1, S>& learnable) {
  number(op, "temperature", option, learnable, positive);
}

}  // namespace check
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
