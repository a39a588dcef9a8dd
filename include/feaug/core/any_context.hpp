// What a contract knows of a context, wherever it runs.
//
// A public function of an operator x stands once, in the contract, for any context. It checks its
// arguments; the work is that of detail::x_on<Context>, a struct of static functions that a
// backend's x.hpp or x.cuh specialises. (A loss has detail::x_call, see loss/loss_verbs.hpp, and an
// augmentation augmentation_on.) The primary template only says which header is missing.
#pragma once

#include <concepts>

#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// cpu_context or cuda_context. `space` is the memory that its operators read and write; an
/// `operation` is one call's scratch memory. `require_reachable(ctx, op, argument, view)` is found
/// by its type: it throws for a pointer that the context's processor is known not to reach.
template <class Context>
concept any_context = requires {
  { Context::space } -> std::convertible_to<memory_space>;
  typename Context::operation;
};

/// A context whose operators work in host memory, so that an operator can return a number.
template <class Context>
concept host_context = any_context<Context> && Context::space == memory_space::host;

namespace detail {

/// Always false, but dependent on the type: the static_assert of a primary template then fails only
/// where that template is used.
template <class...>
inline constexpr bool is_included = false;

}  // namespace detail

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
