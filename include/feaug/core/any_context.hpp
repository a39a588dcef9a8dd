// What a contract knows of a context, wherever it runs.
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

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
