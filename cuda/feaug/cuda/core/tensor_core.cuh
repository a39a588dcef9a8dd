// Small matrix products on tensor cores by one warp: PTX for sm_80 and up (other programs and GPUs
// use other kernels), a portable equivalent in the CPU emulation of CUDA (tests/simt).
//
// In lane l, g = l / 4 and t = l % 4. Two adjacent 16-bit elements share a word, the first in its
// lower half.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/error.cuh"
#include "feaug/cuda/core/home.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Never launched: CUDA says for which architecture it was compiled, and so the tensor-core kernels
/// of the same program.
template <class = void>
__global__ void __launch_bounds__(32) architecture_probe_kernel() {}

/// Shared memory in bytes that a block of a tensor-core kernel may use on the current GPU. 0 if the
/// program's code for this GPU was generated for an architecture below sm_80, which has none of
/// their instructions.
inline std::size_t tensor_core_shared(std::string_view op) {
  cudaFuncAttributes code{};
  succeed(op, "cudaFuncGetAttributes", cudaFuncGetAttributes(&code, architecture_probe_kernel<>));
  if (std::min(code.ptxVersion, code.binaryVersion) < 80) return 0;
  int bytes = 0;
  succeed(
      op, "cudaDeviceGetAttribute",
      cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, current_device(op)));
  return static_cast<std::size_t>(bytes);
}

/// tensor_core_shared of the call's GPU, which its context remembers.
inline std::size_t known_tensor_core_shared(const operation& call) {
  std::optional<std::size_t>& known = call.context().home->tensor_core_shared;
  if (!known) known = tensor_core_shared(call.name());
  return *known;
}

/// Element types that the tensor-core products accept.
template <class Element>
concept tensor_element = std::same_as<Element, half> || std::same_as<Element, bfloat16>;

/// A lane's part of the 16 × 16 left tile: row g, columns 2t and 2t + 1 in the first word; row g +
/// 8 in the second; columns + 8 in the third and fourth.
struct left_operand {
  std::uint32_t pairs[4];
};

/// A lane's part of the 16 × 8 right tile: column g, rows 2t and 2t + 1 in the first word; rows + 8
/// in the second.
struct right_operand {
  std::uint32_t pairs[2];
};

/// A lane's part of a 16 × 8 tile of sums: row g, columns 2t and 2t + 1, then the same of row g +
/// 8.
struct tile_sums {
  float at[4];
};

/// sums += left · right: 4096 FLOP per warp. The hardware's order of addition is not specified.
template <tensor_element Element>
__device__ void multiply_add(tile_sums& sums, const left_operand& left,
                             const right_operand& right) {
#if defined(__CUDACC__)
  if constexpr (std::same_as<Element, half>) {
    FEAUG_PTX_SM80(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums.at[0]), "+f"(sums.at[1]), "+f"(sums.at[2]), "+f"(sums.at[3])
        : "r"(left.pairs[0]), "r"(left.pairs[1]), "r"(left.pairs[2]), "r"(left.pairs[3]),
          "r"(right.pairs[0]), "r"(right.pairs[1]));
  } else {
    FEAUG_PTX_SM80(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums.at[0]), "+f"(sums.at[1]), "+f"(sums.at[2]), "+f"(sums.at[3])
        : "r"(left.pairs[0]), "r"(left.pairs[1]), "r"(left.pairs[2]), "r"(left.pairs[3]),
          "r"(right.pairs[0]), "r"(right.pairs[1]));
  }
#else
  simt::multiply_add_16x8x16(
      sums.at, left.pairs, right.pairs,
      std::same_as<Element, half> ? simt::sixteen_bits::half : simt::sixteen_bits::bfloat16,
      {__FILE__, __LINE__});
#endif
}

/// Loads four 8 × 8 tiles from shared memory. In lane l, `row` points to row l % 8 of tile l / 8, a
/// multiple of 16 bytes. Word i of the result is from tile i: elements 2t and 2t + 1 of its row g,
/// or of its column g if Transposed.
template <bool Transposed, tensor_element Element>
__device__ void load_four_tiles(const Element* row, std::uint32_t (&pairs)[4]) {
#if defined(__CUDACC__)
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (Transposed) {
    FEAUG_PTX_SM80("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                   : "=r"(pairs[0]), "=r"(pairs[1]), "=r"(pairs[2]), "=r"(pairs[3])
                   : "r"(address)
                   : "memory");
  } else {
    FEAUG_PTX_SM80("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                   : "=r"(pairs[0]), "=r"(pairs[1]), "=r"(pairs[2]), "=r"(pairs[3])
                   : "r"(address)
                   : "memory");
  }
#else
  simt::load_four_tiles(row, Transposed, pairs, {__FILE__, __LINE__});
#endif
}

/// Two numbers rounded to bfloat16 and packed into a word.
__device__ inline std::uint32_t bfloat16_pair(float first, float second) {
#if defined(__CUDACC__)
  std::uint32_t pair = 0;
  FEAUG_PTX_SM80("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(second), "f"(first));
  return pair;
#else
  const std::uint32_t high = store<bfloat16>(second).bits;
  return high << 16 | store<bfloat16>(first).bits;
#endif
}

/// 2ˣ to about 22 bits; subnormal results are flushed to 0.
__device__ inline float fast_exp2(float x) {
#if defined(__CUDACC__)
  float y = 0;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
#else
  return std::exp2(x);
#endif
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
