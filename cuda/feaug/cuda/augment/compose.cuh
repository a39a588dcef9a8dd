// compose on a GPU: what its header says of any context.
#pragma once

#include "feaug/augment/compose.hpp"
#include "feaug/cuda/augment/augmentation.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <augmentation... Ps>
struct augmentation_on<cuda_context, composed<Ps...>> : augmentation_traits<composed<Ps...>> {};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
