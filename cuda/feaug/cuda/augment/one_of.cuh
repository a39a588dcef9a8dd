// one_of on a GPU: what its header says of any context.
#pragma once

#include "feaug/augment/one_of.hpp"
#include "feaug/cuda/augment/augmentation.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <augmentation... Ps>
struct augmentation_on<cuda_context, one_of_policy<Ps...>>
    : augmentation_traits<one_of_policy<Ps...>> {};
template <augmentation... Ps>
struct augmentation_on<cuda_context, drawn_one_of_policy<memory_space::device, Ps...>>
    : augmentation_traits<drawn_one_of_policy<memory_space::device, Ps...>> {};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
