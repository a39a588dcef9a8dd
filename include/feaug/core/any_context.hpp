// The concept of a context, for any backend.
//
// The public function of an operator x is defined once, in the contract header, for every context.
// It checks its arguments, then calls detail::x_on<Context>, a struct of static functions that a
// backend's x.hpp or x.cuh specialises. (Losses use detail::x_call, see loss/loss_verbs.hpp;
// augmentations use augmentation_on.) The primary template only reports which header is missing.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>

#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// cpu_context or cuda_context. `space` is the memory space that its operators read and write; an
/// `operation` holds one call's scratch memory. `require_reachable(ctx, op, argument, view)` is
/// found by argument-dependent lookup; it throws for a pointer that the context's processor is
/// known to be unable to access.
template <class Context>
concept any_context = requires {
  { Context::space } -> std::convertible_to<memory_space>;
  typename Context::operation;
};

/// A context whose operators use host memory, so that an operator can return a number.
template <class Context>
concept host_context = any_context<Context> && Context::space == memory_space::host;

namespace detail {

/// Always false, but dependent on the type, so that the static_assert of a primary template fails
/// only where that template is used.
template <class...>
inline constexpr bool is_included = false;

}  // namespace detail

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
