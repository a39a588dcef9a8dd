// What the public functions of all losses share: the types of their arguments, and how they run a
// call.
//
// A loss x has three functions, the same for every context:
//
//     x(ctx, inputs..., loss, options, statistics);                    // the loss alone
//     x_backward(ctx, operands..., statistics, cotangent, options);    // the gradients alone
//     x_with_gradients(ctx, operands..., loss, options);               // both in one go
//
// In host memory the first and the last exist without loss, too: they return the number. Each makes
// a detail::x_call<Context, ...>, which checks its arguments when it is made, and which a backend's
// header specialises (feaug/cpu/loss/x.hpp, feaug/cuda/loss/x.cuh). A call has
//
//     outputs();    // the elements of the loss
//     run(loss);    // writes the loss, unless it is empty, and all gradients that are wanted
//
// or, where the backward pass starts from statistics,
//
//     outputs(), statistics_size();
//     forward(loss, statistics);
//     backward(statistics);
//     forward_and_backward(loss);
#pragma once

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

/// Where a loss or its statistics are written, in compute_t of the features' type T.
template <class Context, element T>
using loss_destination = std::type_identity_t<vector_view<compute_t<T>, Context::space>>;
/// Where a backward pass reads statistics or a cotangent.
template <class Context, element T>
using loss_source = std::type_identity_t<vector_view<const compute_t<T>, Context::space>>;

namespace detail {

/// Checks where a loss goes, then writes it, and all gradients that are wanted.
template <class Context, class Call, class C, memory_space S>
void run_loss(Context& ctx, std::string_view op, Call&& call, const vector_view<C, S>& loss) {
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  require_reachable(ctx, op, "loss", loss);
  call.run(loss);
}

/// The gradients alone.
template <class Call, class C, memory_space S>
void run_backward(std::string_view op, Call&& call, const vector_view<C, S>& cotangent) {
  check::has_cotangent(op, cotangent);
  call.run({});
}

/// The loss alone, and the statistics that a backward pass starts from, if they are wanted.
template <class Context, class Call, class C, memory_space S>
void run_forward(Context& ctx, std::string_view op, Call&& call, const vector_view<C, S>& loss,
                 const std::type_identity_t<vector_view<C, S>>& statistics) {
  check::loss_outputs(op, loss, call.outputs(), statistics, call.statistics_size());
  require_reachable(ctx, op, "loss", loss);
  require_reachable(ctx, op, "statistics", statistics);
  call.forward(loss, statistics);
}

/// The gradients from statistics.
template <class Context, class Call, class C, memory_space S>
void run_backward(Context& ctx, std::string_view op, Call&& call,
                  const vector_view<C, S>& statistics,
                  const std::type_identity_t<vector_view<C, S>>& cotangent) {
  check::backward_inputs(op, statistics, call.statistics_size(), cotangent);
  require_reachable(ctx, op, "statistics", statistics);
  call.backward(statistics);
}

/// Loss and gradients in one go.
template <class Context, class Call, class C, memory_space S>
void run_with_gradients(Context& ctx, std::string_view op, Call&& call,
                        const vector_view<C, S>& loss) {
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  require_reachable(ctx, op, "loss", loss);
  call.forward_and_backward(loss);
}

/// The number that write(loss) writes.
template <element T, class Write>
compute_t<T> returned(std::string_view op, reduce reduction, const Write& write) {
  check::one_number(op, reduction);
  compute_t<T> loss{};
  write(scalar(loss));
  return loss;
}

}  // namespace detail
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
