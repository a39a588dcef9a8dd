// Random permutations of the rows of a batch, the same as the CPU's.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>

#include "feaug/core/random.hpp"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/sort.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

// Writes each row's random word and its index, the keys and values of the sort. One thread per row.
// Limited by random number generation (Philox): one word and 12 bytes written a row.
template <class Word>
__global__ void __launch_bounds__(256)
    permutation_words_kernel(random_key key, index_t rows, Word* words, index_t* numbers) {
  const random_key now = key.resolved();
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < rows;
       i += static_cast<index_t>(gridDim.x) * blockDim.x) {
    words[i] = draw_word(now, i, 0);
    numbers[i] = i;
  }
}

// inverse[permutation[i]] = i. One thread per row. Limited by memory bandwidth: 8 bytes read and 8
// written, scattered.
template <class Number>
__global__ void __launch_bounds__(256)
    invert_permutation_kernel(const Number* permutation, index_t rows, Number* inverse) {
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < rows;
       i += static_cast<index_t>(gridDim.x) * blockDim.x) {
    inverse[permutation[i]] = i;
  }
}

/// The rows sorted by (their word in column 0, their index): see core/random_permutation.hpp.
/// Scratch: 16 bytes a row and CUB's.
inline void draw_permutation(operation& call, const random_key& key, index_t* permutation,
                             index_t rows) {
  if (rows == 0) return;
  auto* words = call.take<std::uint32_t>(rows);
  auto* sorted_words = call.take<std::uint32_t>(rows);
  auto* numbers = call.take<index_t>(rows);
  call.launch(permutation_words_kernel<std::uint32_t>, grid_size(rows, 256), 256, 0, key, rows,
              words, numbers);
  sort_by_key(call, words, sorted_words, numbers, permutation, rows);
}

inline void invert_permutation(const operation& call, const index_t* permutation, index_t rows,
                               index_t* inverse) {
  if (rows == 0) return;
  call.launch(invert_permutation_kernel<index_t>, grid_size(rows, 256), 256, 0, permutation, rows,
              inverse);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
