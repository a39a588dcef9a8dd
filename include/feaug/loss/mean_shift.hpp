// Mean shift: pulls a prediction to the nearest neighbours of its target.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>
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
#include "feaug/queue/support_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of mean_shift. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct mean_shift_options {
  /// Number of neighbours of its target that a prediction is pulled to; 1 … the filled rows.
  index_t k = 5;
  /// mean and sum give one number, none gives one loss per row.
  reduce reduction = reduce::mean;
  /// N sample ids: queue rows with the target's own id are excluded. A row's loss is the mean over
  /// the neighbours that are found.
  vector_view<const std::int64_t, Space> exclude_ids = {};
  /// Multiplies every gradient, not the loss: for a loss scaler or the share of a micro-batch.
  double gradient_scale = 1;
  /// N weights that multiply the row losses and their gradients. The mean still divides by N.
  vector_view<const compute_t<T>, Space> row_weights = {};
};

namespace detail {

/// The neighbours that a prediction is pulled to: given, or to be searched for.
template <element T, memory_space S>
struct mean_shift_neighbours {
  bool are_found =
      false;  ///< whether `found` holds the slots of a forward pass; otherwise a search finds them
  matrix_view<const index_t, S> found = {};  ///< the given slots
  matrix_view<const T, S> targets = {};      ///< rows whose neighbours are searched for
  matrix_view<index_t, S> indices = {};      ///< optional output for the slots found
};

/// Checks the inputs of the neighbour search, and the output for the slots.
template <element T, memory_space S>
void mean_shift_search_arguments(std::string_view op, const operand<T, 2, S>& prediction,
                                 const support_rows<T, S>& support,
                                 const matrix_view<const T, S>& targets,
                                 const matrix_view<index_t, S>& indices,
                                 const mean_shift_options<T, S>& options) {
  const matrix_view<const T, S>& p = prediction.value;
  check::readable(op, "targets", targets);
  check::has_shape(op, "targets", targets, p.rows(), p.cols(), "prediction");
  check::exclusion(op, support, options.exclude_ids, p.rows(), "one a row");
  if constexpr (S == memory_space::host) {
    check::leaves_some<T>(op, support, options.exclude_ids, targets, {},
                          "a neighbour for every target");
  }
  check::writable(op, "indices", indices);
  if (indices.data != nullptr)
    check::has_shape(op, "indices", indices, p.rows(), options.k, "prediction and k ask for");
}

/// Checks a call's arguments. Returns how its row losses are reduced.
template <element T, memory_space S>
row_reduction<compute_t<T>, S> mean_shift_arguments(std::string_view op,
                                                    const operand<T, 2, S>& prediction,
                                                    const support_rows<T, S>& support,
                                                    const mean_shift_neighbours<T, S>& neighbours,
                                                    const mean_shift_options<T, S>& options,
                                                    const loss_vectors<compute_t<T>, S>& vectors) {
  check::valid(op, "prediction", prediction);
  check::not_empty(op, "prediction", prediction.value);
  check::valid(op, support, prediction.value.cols(), "prediction");
  if constexpr (S == memory_space::host) {
    if (support.filled() == 0) check::fail(op, "queue", "no filled rows", "at least one to find");
    check::within(op, "k", options.k, 1, support.filled());
  } else {
    check::within(op, "k", options.k, 1, support.rows().rows());
  }
  check::call_memory memory = check::loss_memory(op, options, vectors);
  memory.writes("indices", neighbours.indices).uses("prediction", prediction);
  memory.reads("targets", neighbours.targets).reads("indices", neighbours.found);
  memory.reads("exclude_ids", options.exclude_ids);
  check::add_support(memory, support).require_apart();
  const auto reduction = reduction_of<T>(op, options, prediction.value.rows(), vectors);
  if (neighbours.are_found) {
    check::readable(op, "indices", neighbours.found);
    check::has_shape(op, "indices", neighbours.found, prediction.value.rows(), options.k,
                     "prediction and k ask for");
    check::found_slots(op, support, neighbours.found, {});
  } else {
    mean_shift_search_arguments(op, prediction, support, neighbours.targets, neighbours.indices,
                                options);
  }
  return reduction;
}

/// One call of the loss, see loss_verbs.hpp.
template <class Context, element T>
struct mean_shift_call {
  static_assert(is_included<Context>,
                "include feaug/cpu/loss/mean_shift.hpp or feaug/cuda/loss/mean_shift.cuh");
};

}  // namespace detail

/// Mean shift (MSF; Koohpayegani et al., arXiv 2105.07269):
///     loss_i = 1/k Σ_{v ∈ NN_k(target_i)} (2 − 2·cos(prediction_i, v)),
/// with NN_k the k nearest filled rows of a support queue, or rows of a matrix; see `nearest` for
/// the exact definition. MSF enqueues the targets first, so that a target is among its own
/// neighbours.
///
/// prediction, targets: N × D. loss: 1 element or N (reduce::none). `indices`, if given, receives
/// the N × k slots for mean_shift_backward, nearest first. If options.exclude_ids leave fewer than
/// k rows, the mean is over those, and the remaining slots are −1. A row's loss and gradient are
/// NaN if its target has NaN or ∞ (the search then finds nothing) or if a row that is read has.
/// Targets and support are constants.
///
/// Errors: an empty queue, k outside 1 … the filled rows, exclude_ids that leave a target without
/// neighbours, shapes, overlaps. On a GPU counters and ids are not checked: if k exceeds the filled
/// rows, the mean is over the filled rows; a row's loss is NaN if the queue is empty or its target
/// has no neighbours.
template <any_context Context, class P, class T = std::remove_const_t<P>>
requires element<T>
void mean_shift(Context& ctx, const matrix_view<P, Context::space>& prediction,
                const std::type_identity_t<matrix_view<const T, Context::space>>& targets,
                const std::type_identity_t<support_rows<T, Context::space>>& support,
                loss_destination<Context, T> loss,
                const std::type_identity_t<mean_shift_options<T, Context::space>>& options = {},
                const std::type_identity_t<matrix_view<index_t, Context::space>>& indices = {}) {
  constexpr std::string_view op = "mean_shift";
  detail::mean_shift_call<Context, T> call(ctx, op, stop_gradient(prediction), support,
                                           {.targets = targets, .indices = indices}, options,
                                           {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The same loss, returned as a number; for mean and sum only.
template <host_context Context, class P, class T = std::remove_const_t<P>>
requires element<T> compute_t<T> mean_shift(
    Context& ctx, const matrix_view<P>& prediction,
    const std::type_identity_t<matrix_view<const T>>& targets,
    const std::type_identity_t<support_rows<T>>& support,
    const std::type_identity_t<mean_shift_options<T>>& options = {}) {
  return detail::returned<T>("mean_shift", options.reduction, [&](auto loss) {
    mean_shift(ctx, prediction, targets, support, loss, options);
  });
}

/// The gradient with respect to the prediction, for a `cotangent` of one element or N
/// (reduce::none), from the slots that mean_shift (or nearest) found. The support is not searched
/// again and must be unchanged. A row whose slots are all −1 gets NaN. On a GPU slots are not
/// checked: a slot that the support does not have counts as −1.
template <any_context Context, element T>
void mean_shift_backward(
    Context& ctx, const operand<T, 2, Context::space>& prediction,
    const std::type_identity_t<support_rows<T, Context::space>>& support,
    const std::type_identity_t<matrix_view<const index_t, Context::space>>& indices,
    loss_source<Context, T> cotangent,
    const std::type_identity_t<mean_shift_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "mean_shift_backward";
  detail::mean_shift_call<Context, T> call(ctx, op, prediction, support,
                                           {.are_found = true, .found = indices}, options,
                                           {.cotangent = cotangent});
  detail::run_backward(op, call, cotangent);
}

/// Loss and gradient with one search, for a cotangent of options.gradient_scale. The gradient with
/// respect to a prediction of norm ≤ 1e-12 is zero.
template <any_context Context, element T>
void mean_shift_with_gradients(
    Context& ctx, const operand<T, 2, Context::space>& prediction,
    const std::type_identity_t<matrix_view<const T, Context::space>>& targets,
    const std::type_identity_t<support_rows<T, Context::space>>& support,
    loss_destination<Context, T> loss,
    const std::type_identity_t<mean_shift_options<T, Context::space>>& options = {}) {
  constexpr std::string_view op = "mean_shift_with_gradients";
  detail::mean_shift_call<Context, T> call(ctx, op, prediction, support, {.targets = targets},
                                           options, {.loss = loss});
  detail::run_loss(ctx, op, call, loss);
}

/// The same, with the loss returned as a number; for mean and sum only.
template <host_context Context, element T>
compute_t<T> mean_shift_with_gradients(
    Context& ctx, const operand<T>& prediction,
    const std::type_identity_t<matrix_view<const T>>& targets,
    const std::type_identity_t<support_rows<T>>& support,
    const std::type_identity_t<mean_shift_options<T>>& options = {}) {
  return detail::returned<T>("mean_shift_with_gradients", options.reduction, [&](auto loss) {
    mean_shift_with_gradients(ctx, prediction, targets, support, loss, options);
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
