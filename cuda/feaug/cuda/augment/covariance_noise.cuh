// CUDA implementation of covariance_noise: noise with the running covariance of the features.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>

#include "feaug/augment/covariance_noise.hpp"
#include "feaug/core/bit_cast.hpp"
#include "feaug/core/draws.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/augment/augmentation.cuh"
#include "feaug/cuda/augment/noise.cuh"
#include "feaug/cuda/augment/running_covariance.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/vec4.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// A quiet NaN.
template <class C>
__device__ C not_a_number() {
  return static_cast<C>(feaug::detail::bit_cast<float>(0x7FC00000U));
}

// Destinations of the noise: put(row, column, noise).

template <element T>
struct add_to_features {
  using C = compute_t<T>;
  device_matrix<const T> x;
  C scale;
  device_matrix<T> out;

  __device__ void operator()(index_t i, index_t j, C noise) const {
    out(i, j) = store<T>(load(x(i, j)) + rounded_product(scale, noise));
  }
};

template <element T>
struct write_noise {
  device_matrix<T> to;

  __device__ void operator()(index_t i, index_t j, compute_t<T> noise) const {
    to(i, j) = store<T>(noise);
  }
};

inline constexpr int noise_tile = 64;  ///< rows and columns of noise per block
inline constexpr int noise_step = 16;  ///< draws per row and step
inline constexpr int noise_threads = 256;

// put(row, column, (n·Lᵀ)(row, column)) for standard normal n, which is never stored. A block
// computes 64 × 64 elements: in each step it draws 16 numbers for each of its 64 rows (four per
// thread) and multiplies them with 16 columns of the factor L. Steps above L's diagonal are
// skipped. Each thread computes 4 × 4 elements. Limited by FLOP, about rows·cols², and by random
// numbers, about rows·cols² / 128, because each column tile repeats them. Shared memory: 8.1 KiB,
// double 16.3 KiB. A state that has seen no rows gives NaN. Registers: at most 128.
template <class C, class Put>
__global__ void __launch_bounds__(noise_threads, 2)
    covariance_noise_kernel(device_matrix<const double> factor, const index_t* count,
                            random_key key, index_t rows, row_selection selection, Put put) {
  struct tiles {
    C drawn[noise_step][noise_tile + 1];
    C factor[noise_step][noise_tile + 1];
  };
  FEAUG_SHARED(tiles, shared);
  constexpr int side = 16;
  constexpr int each = noise_tile / side;
  constexpr int vec4s = noise_step / 4;
  const random_key now = key.resolved();
  const bool has_seen_none = *count == 0;
  const index_t cols = factor.rows();
  const int thread = static_cast<int>(threadIdx.x);
  const int x = thread % side;
  const int y = thread / side;
  const index_t first_column = static_cast<index_t>(blockIdx.x) * noise_tile;
  const index_t inner =
      first_column + noise_tile < cols ? first_column + noise_tile : cols;  // L is 0 beyond
  for (index_t first_row = static_cast<index_t>(blockIdx.y) * noise_tile; first_row < rows;
       first_row += static_cast<index_t>(gridDim.y) * noise_tile) {
    C sums[each][each] = {};
    for (index_t first = 0; first < inner; first += noise_step) {
      __syncthreads();
      {
        const int row = thread / vec4s;
        const int column = thread % vec4s * 4;
        float values[4];
        feaug::detail::draw_four<normal_draw>(
            now, first_row + row, static_cast<std::uint32_t>((first + column) / 4), values);
        FEAUG_UNROLL
        for (int lane = 0; lane < 4; ++lane)
          shared.drawn[column + lane][row] = static_cast<C>(values[lane]);
      }
      for (int at = thread; at < noise_tile * noise_step; at += noise_threads) {
        const int k = at % noise_step;
        const int j = at / noise_step;
        shared.factor[k][j] = first_column + j < cols && first + k < cols
                                  ? static_cast<C>(factor(first_column + j, first + k))
                                  : C{0};
      }
      __syncthreads();
      FEAUG_UNROLL
      for (int k = 0; k < noise_step; ++k) {
        FEAUG_UNROLL
        for (int i = 0; i < each; ++i) {
          FEAUG_UNROLL
          for (int j = 0; j < each; ++j)
            sums[i][j] += shared.drawn[k][y + side * i] * shared.factor[k][x + side * j];
        }
      }
    }
    for (int i = 0; i < each; ++i) {
      const index_t row = first_row + y + side * i;
      if (row >= rows || !selection.contains(row)) continue;
      for (int j = 0; j < each; ++j) {
        const index_t column = first_column + x + side * j;
        if (column >= cols) continue;
        put(row, column, has_seen_none ? not_a_number<C>() : sums[i][j]);
      }
    }
  }
}

template <class C, class Put>
void covariance_noise_rows(const operation& call, const device_running_covariance& state,
                           const random_key& key, index_t rows, const row_selection& selection,
                           const Put& put) {
  const dim3 grid(static_cast<unsigned>((state.factor.rows() + noise_tile - 1) / noise_tile),
                  grid_size(rows, noise_tile));
  call.launch(covariance_noise_kernel<C, Put>, grid, noise_threads, 0, state.factor, state.count,
              key, rows, selection, put);
}

template <element T>
void add_covariance_noise(const operation& call, const device_running_covariance& state,
                          const random_key& key, const row_selection& selection,
                          const device_matrix<const T>& x, float scale,
                          const device_matrix<T>& out) {
  using C = compute_t<T>;
  covariance_noise_rows<C>(call, state, key, x.rows(), selection,
                           add_to_features<T>{x, static_cast<C>(scale), out});
}
template <element T>
void write_covariance_noise(const operation& call, const device_running_covariance& state,
                            const random_key& key, const device_matrix<T>& noise) {
  covariance_noise_rows<compute_t<T>>(call, state, key, noise.rows(), {}, write_noise<T>{noise});
}

/// Noise of independent features: deviation_j · n_j.
struct variance_epsilon {
  device_vector<const double> deviation;
  const index_t* count;
  random_key key;

  template <class C>
  __device__ void epsilon(const vec4& q, C (&values)[4]) const {
    drawn_epsilon<normal_draw>{key}.epsilon(q, values);
    const bool has_seen_none = *count == 0;
    for (int lane = 0; lane < 4; ++lane) {
      const double factor = lane < q.count ? deviation[q.first + lane] : 0;
      values[lane] = has_seen_none ? not_a_number<C>() : static_cast<C>(factor) * values[lane];
    }
  }
};

template <element T>
void add_covariance_noise(const operation& call, const device_running_variance& state,
                          const random_key& key, const row_selection& selection,
                          const device_matrix<const T>& x, float scale,
                          const device_matrix<T>& out) {
  const variance_epsilon source{state.deviation, state.count, key};
  for_each_vec4(
      call, x.rows(), x.cols(), selection,
      add_noise<variance_epsilon, T>{source, static_cast<double>(scale), nullptr, x, out});
}
template <element T>
void write_covariance_noise(const operation& call, const device_running_variance& state,
                            const random_key& key, const device_matrix<T>& noise) {
  const variance_epsilon source{state.deviation, state.count, key};
  for_each_vec4(call, noise.rows(), noise.cols(), {},
                write_epsilon<variance_epsilon, T>{source, noise});
}

template <class State>
struct covariance_noise_on_device : passes_gradient_on_device<covariance_noise_policy<State>> {
  using policy_type = covariance_noise_policy<State>;
  using augmentation_traits<policy_type>::name;

  template <element T>
  static void forward(cuda_context& ctx, const policy_type& policy, device_matrix<const T> x,
                      const random_key& key, const row_selection& selection, device_matrix<T> out) {
    const operation call(ctx, name);
    feaug::detail::require_state_reachable(ctx, name, policy.state);
    add_covariance_noise(call, policy.state, key, selection, x, policy.scale, out);
  }
};

}  // namespace cuda

/// No scratch.
template <>
struct augmentation_on<cuda_context, covariance_noise_policy<device_running_covariance>>
    : cuda::covariance_noise_on_device<device_running_covariance> {};
template <>
struct augmentation_on<cuda_context, covariance_noise_policy<device_running_variance>>
    : cuda::covariance_noise_on_device<device_running_variance> {};

template <>
struct detail::covariance_noise_on<cuda_context> {
  template <element T, class State>
  static void draw(cuda_context& ctx, const State& state, const random_key& key,
                   const device_matrix<T>& noise) {
    cuda::write_covariance_noise(cuda::operation(ctx, "draw"), state, key, noise);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
