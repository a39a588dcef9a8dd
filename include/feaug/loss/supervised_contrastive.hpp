// The supervised contrastive loss: a row's positives are all other rows with its label.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>
#include <type_traits>

#include "feaug/core/any_context.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/loss_verbs.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of supervised_contrastive. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct supervised_contrastive_options {
  /// Divides the logits; above 0. The losses are finite down to 1e-3.
  double temperature = 0.1;
  /// mean (over the rows that have a positive) and sum give one number, none gives one loss per
  /// row.
  reduce reduction = reduce::mean;
  /// Whether rows are divided by their L2 norms first.
  bool normalize = true;
  /// If given, a temperature of one element that replaces `temperature`, and its gradient.
  operand<compute_t<T>, 1, Space> learnable_temperature = {};
  /// Multiplies every gradient, not the loss: for a loss scaler or the share of a micro-batch.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by the
  /// number of rows with a positive.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// Checks a call's arguments. Returns how its row losses are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> supervised_contrastive_arguments(
    std::string_view op, const operand<T, 2, S>& z, const vector_view<const index_t, S>& labels,
    const supervised_contrastive_options<T, S>& options,
    const loss_vectors<compute_t<T>, S>& vectors) {
  check::valid(op, "z", z);
  check::not_empty(op, "z", z.value);
  check::readable(op, "labels", labels);
  check::has_size(op, "labels", labels, z.value.rows(), "a label a row");
  check::temperature(op, options.temperature, options.learnable_temperature);
  check::loss_memory(op, options, vectors).uses("z", z).reads("labels", labels).require_apart();
  return reduction_of<T>(op, options, z.value.rows(), vectors);
}

/// One call of the loss, see loss_verbs.hpp.
template <class Context, element T>
struct supervised_contrastive_call {
  static_assert(is_included<Context>,
                "include feaug/cpu/loss/supervised_contrastive.hpp or "
                "feaug/cuda/loss/supervised_contrastive.cuh");
};

}  // namespace detail

/// The supervised contrastive loss (Khosla et al., arXiv 2004.11362, L_out), with s = cos(z, z) /
/// temperature and P(i) the other rows with row i's label:
///     loss_i = −1/|P(i)| Σ_{p∈P(i)} s_ip + log Σ_{j≠i} exp s_ij.
///
/// z: N × D. labels: N, any integers. loss: 1 element or N (reduce::none). A row without positives
/// has loss 0 and is excluded from the mean; if no row has a positive, loss and gradient are 0.
/// `statistics`, if given, receives N numbers for supervised_contrastive_backward. Never stores an
/// N × N matrix. NaN or ∞ in a row makes the loss of every row with a positive NaN, since all read
/// it. On a GPU a learnable temperature is not checked; if it is not above 0, these losses are NaN.
template <any_context Context, class Z, class T = std::remove_const_t<Z>>
requires element<T>
void supervised_contrastive(
    Context& ctx, const matrix_view<Z, Context::space>& z,
    const std::type_identity_t<vector_view<const index_t, Context::space>>& labels,
    loss_destination<Context, T> loss,
    const std::type_identity_t<supervised_contrastive_options<T, Context::space>>& options = {},
    statistics_destination<Context, T> statistics = {}) {
  constexpr std::string_view op = "supervised_contrastive";
  detail::supervised_contrastive_call<Context, T> call(ctx, op, stop_gradient(z), labels, options,
                                                       {.statistics = statistics, .loss = loss});
  detail::run_forward(ctx, op, call, loss, statistics);
}

/// The same loss, returned as a number; for mean and sum only.
template <host_context Context, class Z, class T = std::remove_const_t<Z>>
requires element<T> compute_t<T> supervised_contrastive(
    Context& ctx, const matrix_view<Z>& z,
    const std::type_identity_t<vector_view<const index_t>>& labels,
    const std::type_identity_t<supervised_contrastive_options<T>>& options = {}) {
  return detail::returned<T>("supervised_contrastive", options.reduction, [&](auto loss) {
    supervised_contrastive(ctx, z, labels, loss, options);
  });
}

/// The gradients from the `statistics` (N) that supervised_contrastive wrote, for a `cotangent` of
/// one element or N (reduce::none). Logits are recomputed.
template <any_context Context, element T>
void supervised_contrastive_backward(
    Context& ctx, const operand<T, 2, Context::space>& z,
    const std::type_identity_t<vector_view<const index_t, Context::space>>& labels,
    loss_source<Context, T> statistics, loss_source<Context, T> cotangent,
    const std::type_identity_t<supervised_contrastive_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "supervised_contrastive_backward";
  detail::supervised_contrastive_call<Context, T> call(
      ctx, op, z, labels, options, {.cotangent = cotangent, .kept_statistics = statistics});
  detail::run_backward(ctx, op, call, statistics, cotangent);
}

/// Loss and gradients in one call, for a cotangent of options.gradient_scale. The gradient with
/// respect to a row of norm ≤ 1e-12 is zero.
template <any_context Context, element T>
void supervised_contrastive_with_gradients(
    Context& ctx, const operand<T, 2, Context::space>& z,
    const std::type_identity_t<vector_view<const index_t, Context::space>>& labels,
    loss_destination<Context, T> loss,
    const std::type_identity_t<supervised_contrastive_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "supervised_contrastive_with_gradients";
  detail::supervised_contrastive_call<Context, T> call(ctx, op, z, labels, options, {.loss = loss});
  detail::run_with_gradients(ctx, op, call, loss);
}

/// The same, with the loss returned as a number; for mean and sum only.
template <host_context Context, element T>
compute_t<T> supervised_contrastive_with_gradients(
    Context& ctx, const operand<T>& z,
    const std::type_identity_t<vector_view<const index_t>>& labels,
    const std::type_identity_t<supervised_contrastive_options<T>>& options = {}) {
  return detail::returned<T>(
      "supervised_contrastive_with_gradients", options.reduction,
      [&](auto loss) { supervised_contrastive_with_gradients(ctx, z, labels, loss, options); });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
