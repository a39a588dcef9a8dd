// CUDA code shared by all augmentations: augmentation_on<cuda_context, P> implements augment and
// augment_backward of feaug/augment/augmentation.hpp.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>

#include "feaug/augment/augmentation.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/vec4.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Sets the gradient to zero in the rows whose selection equals `selected`.
template <element T>
struct zero_gradient {
  operand<T, 2, memory_space::device> x;
  row_selection selection;
  bool selected;

  __device__ void operator()(const vec4& q) const {
    if (selection.contains(q.row) != selected) return;
    compute_t<T> zeros[4] = {};
    put_vec4(x, q, zeros);
  }
};

/// If x wants a gradient, puts zero in its selected rows, or in those that are not selected.
template <element T>
void put_zero_gradient(const operation& call, const operand<T, 2, memory_space::device>& x,
                       const row_selection& selection, bool selected) {
  for_each_vec4(call, x.value.rows(), x.value.cols(), {}, zero_gradient<T>{x, selection, selected});
}

// One thread per row. Limited by drawing the random choice; writes one element a row.
template <class Parts, class Choice>
__global__ void __launch_bounds__(256)
    choose_parts_kernel(Parts parts, random_key key, row_selection selection, index_t rows,
                        Choice choice) {
  const random_key now = key.resolved();
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < rows;
       i += static_cast<index_t>(gridDim.x) * blockDim.x) {
    choice[i] = selection.contains(i) ? parts.of_row(now, i) : -1;
  }
}

/// choice[i] = the part that `parts` gives to row i, or −1 if the row is not selected.
template <class Parts, class Choice>
void choose_parts(const operation& call, const Parts& parts, const random_key& key,
                  const row_selection& selection, index_t rows, const Choice& choice) {
  call.launch(choose_parts_kernel<Parts, Choice>, grid_size(rows, 256), 256, 0, parts, key,
              selection, rows, choice);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
