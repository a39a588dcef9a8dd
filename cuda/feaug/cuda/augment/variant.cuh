// A std::variant of policies on a GPU: what its header says of any context.
#pragma once

#include <variant>

#include "feaug/augment/variant.hpp"
#include "feaug/cuda/augment/augmentation.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <augmentation... Ps>
struct augmentation_on<cuda_context, std::variant<Ps...>>
    : augmentation_traits<std::variant<Ps...>> {};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
