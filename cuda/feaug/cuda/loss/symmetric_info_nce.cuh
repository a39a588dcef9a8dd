// CUDA implementation of symmetric_info_nce, with its declarations.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/loss/two_view_contrast.cuh"
#include "feaug/loss/symmetric_info_nce.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_symmetric_info_nce_options = symmetric_info_nce_options<T, memory_space::device>;

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
