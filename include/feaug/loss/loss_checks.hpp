// Argument checks shared by all losses.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>
#include <type_traits>

#include "feaug/core/argument_name.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::check {

/// Checks the two views of a batch: not empty, of the same shape, and no gradient overlaps the
/// other view or its gradient. Row i of one corresponds to row i of the other.
template <class T, memory_space S>
void two_views(std::string_view op, std::string_view first, const operand<T, 2, S>& a,
               std::string_view second, const operand<T, 2, S>& b) {
  valid(op, first, a);
  valid(op, second, b);
  not_empty(op, first, a.value);
  has_shape(op, second, b.value, a.value.rows(), a.value.cols(), first);
  apart(op, first, a, second, b);
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
  apart(op, "statistics", statistics, "loss", loss);
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

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::check

#include "feaug/header_end.hpp"
