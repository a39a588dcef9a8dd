// CUDA implementation of momentum_update: the exponential moving average of parameters (momentum
// network); the momentum can be in device memory.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>
#include <concepts>
#include <cstddef>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/step/momentum_update.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T, element S = T>
using device_momentum_pair = momentum_pair<T, S, memory_space::device>;

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Pairs per launch. They are kernel arguments (at most 4 KiB), so nothing is copied to the device,
/// and a captured graph contains them.
inline constexpr int momentum_pairs_per_launch = 64;
/// Elements per block.
inline constexpr index_t momentum_block_elements = 1 << 12;

template <element T, element S>
struct momentum_table {
  struct entry {
    T* target;
    const S* online;
    index_t size;
    index_t cols;
    index_t target_stride;
    index_t online_stride;
  };
  entry pair[momentum_pairs_per_launch];
  index_t first_block[momentum_pairs_per_launch + 1];  ///< block at which each pair begins
  int count;
};

/// The momentum: fixed, or in device memory. A value outside [0, 1] becomes NaN.
struct momentum_number {
  double given;
  const float* in_float;
  const double* in_double;

  [[nodiscard]] __device__ double value() const {
    double momentum = given;
    if (in_float != nullptr) momentum = static_cast<double>(*in_float);
    if (in_double != nullptr) momentum = *in_double;
    return momentum >= 0 && momentum <= 1 ? momentum : static_cast<double>(NAN);
  }
};

// target += (1 − momentum) · (online − target). A block updates 4096 elements of one pair, one
// thread one element at a time. Limited by memory bandwidth: reads target and online, writes
// target. Registers: at most 64.
template <element T, element S>
__global__ void __launch_bounds__(256)
    momentum_update_kernel(momentum_table<T, S> table, momentum_number number) {
  const double momentum = number.value();
  const auto block = static_cast<index_t>(blockIdx.x);
  int p = 0;
  while (block >= table.first_block[p + 1]) ++p;
  const auto& pair = table.pair[p];
  const index_t begin = (block - table.first_block[p]) * momentum_block_elements;
  const index_t left = pair.size - begin;
  const index_t end = begin + (left < momentum_block_elements ? left : momentum_block_elements);
  if (pair.cols == pair.size) {
    for (index_t at = begin + threadIdx.x; at < end; at += blockDim.x)
      pair.target[at] = feaug::detail::followed(pair.target[at], pair.online[at], momentum);
    return;
  }
  for (index_t at = begin + threadIdx.x; at < end; at += blockDim.x) {
    const index_t row = at / pair.cols;
    const index_t column = at - row * pair.cols;
    T& target = pair.target[row * pair.target_stride + column];
    target =
        feaug::detail::followed(target, pair.online[row * pair.online_stride + column], momentum);
  }
}

/// Updates all pairs, 64 per launch.
template <element T, element S>
void follow(const operation& call, std::span<const device_momentum_pair<T, S>> pairs,
            const momentum_number& momentum) {
  momentum_table<T, S> table = {};
  const auto launch = [&] {
    if (table.count == 0) return;
    call.launch(momentum_update_kernel<T, S>, static_cast<unsigned>(table.first_block[table.count]),
                256, 0, table, momentum);
    table.count = 0;
  };
  for (const auto& given : pairs) {
    const auto pair = feaug::detail::without_gaps(given);
    const index_t size = pair.target.rows() * pair.target.cols();
    if (size == 0) continue;
    const int at = table.count++;
    table.pair[at] = {.target = pair.target.data,
                      .online = pair.online.data,
                      .size = size,
                      .cols = pair.target.cols(),
                      .target_stride = pair.target.row_stride(),
                      .online_stride = pair.online.row_stride()};
    table.first_block[at + 1] =
        table.first_block[at] + (size + momentum_block_elements - 1) / momentum_block_elements;
    if (table.count == momentum_pairs_per_launch) launch();
  }
  launch();
}

}  // namespace cuda

/// One launch per 64 tensors. No scratch.
template <>
struct detail::momentum_update_on<cuda_context> {
  template <class Check>
  static void with_places(cuda_context& /*ctx*/, std::size_t pairs, const Check& check) {
    std::vector<momentum_place> places(2 * pairs);
    check(places.data());
  }

  template <element T, element S>
  static void run(cuda_context& ctx, std::span<const device_momentum_pair<T, S>> pairs,
                  double momentum) {
    cuda::follow(cuda::operation(ctx, "momentum_update"), pairs,
                 {.given = momentum, .in_float = nullptr, .in_double = nullptr});
  }
};

/// momentum_update with the momentum in one element of device memory, which may change between
/// launches of a captured graph. A momentum outside [0, 1] makes all targets NaN. (For 1 − 10⁻⁵, a
/// float resolves the 10⁻⁵ to three digits, a double to eleven.)
template <detail::momentum_pairs<memory_space::device> Pairs, std::floating_point M>
void momentum_update(cuda_context& ctx, const Pairs& pairs, const device_vector<M>& momentum) {
  constexpr std::string_view op = "momentum_update";
  check::readable(op, "momentum", momentum);
  check::has_size(op, "momentum", momentum, 1, "a scalar");
  cuda::on_device(op, "momentum", momentum);
  cuda::momentum_number number = {.given = 0, .in_float = nullptr, .in_double = nullptr};
  if constexpr (std::same_as<std::remove_const_t<M>, float>) {
    number.in_float = momentum.data;
  } else {
    number.in_double = momentum.data;
  }
  const auto all = detail::checked_pairs(ctx, op, pairs);
  cuda::follow(cuda::operation(ctx, op), all, number);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
