// Negative cosine similarity between a prediction and its targets (BYOL, SimSiam).
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>

#include "feaug/core/any_context.hpp"
#include "feaug/core/argument_name.hpp"
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

/// The two common forms of the loss.
enum class cosine_form {
  byol,  ///< 2 − 2·cos: the squared distance of the unit vectors (Grill et al., arXiv 2006.07733)
  simsiam,  ///< −cos (Chen and He, arXiv 2011.10566)
};

/// Options of negative_cosine. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct negative_cosine_options {
  cosine_form form = cosine_form::byol;
  /// mean and sum give one number, none gives one loss per row.
  reduce reduction = reduce::mean;
  /// Multiplies every gradient, not the loss: for a loss scaler or the share of a micro-batch.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// A target's name in error messages.
inline check::argument_name target_name(std::size_t which, std::size_t count) {
  return count == 1 ? check::argument_name("target") : check::argument_name("targets[", which, "]");
}

/// Whether any target wants a gradient.
template <element T, memory_space S>
bool wants_gradient(std::span<const operand<T, 2, S>> targets) {
  return std::any_of(targets.begin(), targets.end(),
                     [](const operand<T, 2, S>& target) { return target.wants_gradient(); });
}

/// Checks a call's arguments. Returns how its row losses are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> negative_cosine_arguments(
    std::string_view op, const operand<T, 2, S>& prediction,
    std::span<const operand<T, 2, S>> targets, const negative_cosine_options<T, S>& options,
    const loss_vectors<compute_t<T>, S>& vectors) {
  if (targets.empty()) check::fail(op, "targets", "none", "at least one");
  for (std::size_t k = 0; k < targets.size(); ++k) {
    const check::argument_name name = target_name(k, targets.size());
    check::two_views(op, "prediction", prediction, name, targets[k]);
    check::loss_memory(op, options, vectors)
        .uses("prediction", prediction)
        .uses(name, targets[k])
        .require_apart();
    for (std::size_t before = 0; before < k; ++before)
      check::apart(op, target_name(before, targets.size()), targets[before], name, targets[k]);
  }
  return reduction_of<T>(op, options, prediction.value.rows(), vectors);
}

/// One call of the loss, see loss_verbs.hpp.
template <class Context, element T>
struct negative_cosine_call {
  static_assert(
      is_included<Context>,
      "include feaug/cpu/loss/negative_cosine.hpp or feaug/cuda/loss/negative_cosine.cuh");
};

}  // namespace detail

/// loss_i = 2 − 2·cos(prediction_i, target_i), or −cos.
///
/// prediction, target: N × D. loss: 1 element or N (reduce::none). A row of norm ≤ 1e-12 is divided
/// by 1e-12 instead of its norm, so that |cos| ≤ norm / 1e-12; its gradient is 0. NaN or ∞ in a row
/// makes its loss NaN.
template <any_context Context, class P, class Q, class T = std::remove_const_t<P>>
requires same_element<P, Q>
void negative_cosine(
    Context& ctx, const matrix_view<P, Context::space>& prediction,
    const matrix_view<Q, Context::space>& target, loss_destination<Context, T> loss,
    const std::type_identity_t<negative_cosine_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "negative_cosine";
  const operand<T, 2, Context::space> stopped = stop_gradient(target);
  detail::negative_cosine_call<Context, T> call(ctx, op, stop_gradient(prediction), {&stopped, 1},
                                                options, {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The same loss, returned as a number; for mean and sum only.
template <host_context Context, class P, class Q, class T = std::remove_const_t<P>>
requires same_element<P, Q> compute_t<T> negative_cosine(
    Context& ctx, const matrix_view<P>& prediction, const matrix_view<Q>& target,
    const std::type_identity_t<negative_cosine_options<T>>& options = {}) {
  return detail::returned<T>("negative_cosine", options.reduction, [&](auto loss) {
    negative_cosine(ctx, prediction, target, loss, options);
  });
}

/// Several targets for one prediction: the sum of the losses that one call per target would give,
/// and the gradients of that sum, in one pass over memory; each gradient is rounded once, when it
/// is stored. If all operands are stopped, only the loss.
///
/// `targets` is a list in host memory of at least one target with prediction's shape. Two targets
/// that share memory must not have gradients. On a GPU every target takes its own pass, and the
/// gradient with respect to the prediction is rounded once per target.
template <any_context Context, element T>
void negative_cosine_with_gradients(
    Context& ctx, const operand<T, 2, Context::space>& prediction,
    std::type_identity_t<std::span<const operand<T, 2, Context::space>>> targets,
    loss_destination<Context, T> loss,
    const std::type_identity_t<negative_cosine_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "negative_cosine_with_gradients";
  detail::negative_cosine_call<Context, T> call(ctx, op, prediction, targets, options,
                                                {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The gradients of that sum for a `cotangent` of one element or N (reduce::none).
template <any_context Context, element T>
void negative_cosine_backward(
    Context& ctx, const operand<T, 2, Context::space>& prediction,
    std::type_identity_t<std::span<const operand<T, 2, Context::space>>> targets,
    loss_source<Context, T> cotangent,
    const std::type_identity_t<negative_cosine_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "negative_cosine_backward";
  detail::negative_cosine_call<Context, T> call(ctx, op, prediction, targets, options,
                                                {.cotangent = cotangent});
  detail::run_backward(op, call, cotangent);
}

/// The gradients for a `cotangent` of one element or N (reduce::none). Needs no statistics:
/// recomputing a row's cosine costs less than storing it.
template <any_context Context, element T>
void negative_cosine_backward(
    Context& ctx, const operand<T, 2, Context::space>& prediction,
    const operand<T, 2, Context::space>& target, loss_source<Context, T> cotangent,
    const std::type_identity_t<negative_cosine_options<T, Context::space>>& options = {}) {
  negative_cosine_backward(ctx, prediction,
                           std::span<const operand<T, 2, Context::space>>(&target, 1), cotangent,
                           options);
}

/// Loss and gradients in one pass over memory, for a cotangent of options.gradient_scale.
template <any_context Context, element T>
void negative_cosine_with_gradients(
    Context& ctx, const operand<T, 2, Context::space>& prediction,
    const operand<T, 2, Context::space>& target, loss_destination<Context, T> loss,
    const std::type_identity_t<negative_cosine_options<T, Context::space>>& options = {}) {
  negative_cosine_with_gradients(
      ctx, prediction, std::span<const operand<T, 2, Context::space>>(&target, 1), loss, options);
}

/// The same, with the loss returned as a number; for mean and sum only.
template <host_context Context, element T>
compute_t<T> negative_cosine_with_gradients(
    Context& ctx, const operand<T>& prediction, const operand<T>& target,
    const std::type_identity_t<negative_cosine_options<T>>& options = {}) {
  return detail::returned<T>("negative_cosine_with_gradients", options.reduction, [&](auto loss) {
    negative_cosine_with_gradients(ctx, prediction, target, loss, options);
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
