// Shared by the public functions of all losses: their argument types, and how they run a call.
//
// A loss x has three functions, the same for every context:
//
//     x(ctx, inputs..., loss, options, statistics);                    // the loss only
//     x_backward(ctx, operands..., statistics, cotangent, options);    // the gradients only
//     x_with_gradients(ctx, operands..., loss, options);               // both in one call
//
// In host memory the first and the last also exist without `loss`; they return the number. Each
// function constructs a detail::x_call<Context, ...>. Its constructor checks the arguments, and a
// backend's header specialises it (feaug/cpu/loss/x.hpp, feaug/cuda/loss/x.cuh). A call has
//
//     outputs();    // the number of elements of the loss
//     run(loss);    // writes the loss, unless it is empty, and all gradients that are wanted
//
// or, if the backward pass uses statistics,
//
//     outputs(), statistics_size();
//     forward(loss, statistics);
//     backward(statistics);
//     forward_and_backward(loss);
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>
#include <type_traits>

#include "feaug/core/any_context.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Destination of a loss, in compute_t of the features' type T.
template <class Context, element T>
using loss_destination = std::type_identity_t<required_vector<compute_t<T>, Context::space>>;
/// Destination of a loss's statistics; empty: they are not wanted.
template <class Context, element T>
using statistics_destination = std::type_identity_t<vector_view<compute_t<T>, Context::space>>;
/// Source of a backward pass's statistics or cotangent.
template <class Context, element T>
using loss_source = std::type_identity_t<vector_view<const compute_t<T>, Context::space>>;

namespace detail {

/// Checks the loss's destination, then writes the loss and all gradients that are wanted.
template <class Context, class Call, class C, memory_space S>
void run_loss(Context& ctx, std::string_view op, Call&& call, const vector_view<C, S>& loss) {
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  require_reachable(ctx, op, "loss", loss);
  call.run(loss);
}

/// Writes the gradients only.
template <class Call, class C, memory_space S>
void run_backward(std::string_view op, Call&& call, const vector_view<C, S>& cotangent) {
  check::has_cotangent(op, cotangent);
  call.run({});
}

/// Writes the loss and, if wanted, the statistics for a backward pass.
template <class Context, class Call, class C, memory_space S>
void run_forward(Context& ctx, std::string_view op, Call&& call, const vector_view<C, S>& loss,
                 const std::type_identity_t<vector_view<C, S>>& statistics) {
  check::loss_outputs(op, loss, call.outputs(), statistics, call.statistics_size());
  require_reachable(ctx, op, "loss", loss);
  require_reachable(ctx, op, "statistics", statistics);
  call.forward(loss, statistics);
}

/// Writes the gradients, using the statistics.
template <class Context, class Call, class C, memory_space S>
void run_backward(Context& ctx, std::string_view op, Call&& call,
                  const vector_view<C, S>& statistics,
                  const std::type_identity_t<vector_view<C, S>>& cotangent) {
  check::backward_inputs(op, statistics, call.statistics_size(), cotangent);
  require_reachable(ctx, op, "statistics", statistics);
  call.backward(statistics);
}

/// Writes loss and gradients in one call.
template <class Context, class Call, class C, memory_space S>
void run_with_gradients(Context& ctx, std::string_view op, Call&& call,
                        const vector_view<C, S>& loss) {
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  require_reachable(ctx, op, "loss", loss);
  call.forward_and_backward(loss);
}

/// Returns the number that write(loss) writes.
template <element T, class Write>
compute_t<T> returned(std::string_view op, reduce reduction, const Write& write) {
  check::one_number(op, reduction);
  compute_t<T> loss{};
  write(scalar(loss));
  return loss;
}

}  // namespace detail
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
