// Fused passes over the logits: one kernel computes a tile of logits on tensor cores, turns it into
// weights in registers and multiplies the weights with the same columns, which are still in shared
// memory. No logit is written to memory. With stopped columns, the softmax pass is therefore the
// forward pass of an attention whose values equal its keys (FlashAttention, arXiv 2205.14135).
//
// Products are bfloat16 with float sums. The columns may be split into parts, which different
// blocks process. The split depends on the shape alone, and the parts are added in order without
// atomics, so every run gives the same bits.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/tensor_core.cuh"
#include "feaug/cuda/core/tile_products.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/loss/contrast_problem.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// Operands are rounded to bfloat16, so doubles are not fused.
template <element T>
inline constexpr bool can_fuse = !std::is_same_v<T, double>;

/// Operands and parameters of a fused kernel.
struct fused_problem {
  tensor_rows<bfloat16> rows;
  tensor_rows<bfloat16> columns;
  left_out_columns left_out;
  temperature<float> tau;
  bool unit_rows;        ///< unit rows: |cosine| ≤ 1 up to rounding
  index_t part_columns;  ///< columns in each part except the last; a multiple of 64

  /// log₂e / τ, which turns a cosine into a base-2 logit.
  [[nodiscard]] __device__ float scale() const {
    return static_cast<float>(1.4426950408889634 / tau.value());
  }
};

/// True if concatenate_rows packed the problem's rows for the fused kernels.
template <element T>
bool is_fused(const contrast_problem<T>& problem) {
  return problem.rows.tensor.data != nullptr && problem.columns.rows() > 0;
}

/// Splits the columns into as many parts as give about 132 blocks with the existing row tiles.
template <element T>
fused_problem fuse(const contrast_problem<T>& problem) {
  const index_t row_tiles = (problem.rows.rows() + tile_rows - 1) / tile_rows;
  const index_t column_tiles = (problem.columns.rows() + tile_columns - 1) / tile_columns;
  const index_t parts = std::clamp<index_t>(wanted_blocks / row_tiles, 1, column_tiles);
  return {.rows = problem.rows.tensor,
          .columns = problem.columns.tensor,
          .left_out = problem.left_out(),
          .tau = problem.temperature,
          .unit_rows = problem.rows.inverse != nullptr,
          .part_columns = (column_tiles + parts - 1) / parts * tile_columns};
}

/// Results of the parts: part p and row i are at index p · rows + i.
struct fused_parts {
  float* shift = nullptr;  ///< subtracted from the base-2 logits
  float* sum = nullptr;    ///< Σ exp₂(logit − shift)
  float* cosine_sum = nullptr;
  float* weighted = nullptr;  ///< Σ weight · column, `features` floats a row; null: not wanted
};

// The Weigher protocol. fused_contrast_kernel has one Weigher object per thread, in registers. A
// thread holds parts of two rows of its warp's 16: element e of its accumulators belongs to its row
// r = e / 2, row first_row + row_in_warp(2·r) of the problem. A Weigher provides, in the order of
// the calls:
//
//  struct shared              The block's data in shared memory beside the tiles, with two buffers
//                             if stage() writes anything.
//  Weigher(problem, source, first_row)
//                             Once, before the first tile. `source` is the kernel's argument;
//                             first_row is the warp's first row. Both references stay valid.
//  stage(numbers, first, which) const
//                             Once per tile, by all threads of the block: may write data of columns
//                             first … first + 63 to buffer `which` (0 or 1) of `numbers`. The call
//                             for a tile comes before weigh() of the tile before it. A barrier
//                             separates stage() from the weigh() that reads the buffer, and that
//                             weigh() from the next stage() of the same buffer.
//  weigh(tile, numbers, first, which, end, factors)
//                             Once per tile, in ascending order of `first`, by whole warps (it may
//                             shuffle). On entry tile[n].at[e] is the product of row row_in_warp(e)
//                             and column first + column_in_tile(n, e). On exit it is that column's
//                             weight: 0 if the column is left out or not below `end`. It sets
//                             factors[r] to what the kernel multiplies row r's previous
//                             Σ weight · column by before it adds this tile (1: unchanged).
//  finish(part) const         Once, after the last tile: writes the row results that the epilogue
//                             holds, if any.

/// Softmax weights exp₂(logit − shift). For unit rows the largest possible logit is 1/τ, so one
/// fixed shift serves all rows and the parts' sums can be added. Rows of any norm, and temperatures
/// so low that the smallest weights would underflow, use a running maximum (online softmax).
class softmax_epilogue {
 public:
  struct shared {};  ///< nothing beside the tiles

  __device__ softmax_epilogue(const fused_problem& problem, const fused_parts& parts,
                              index_t first_row)
      : problem_(problem), parts_(parts), first_row_(first_row), scale_(problem.scale()) {
    // Weights lie between 2^101 and 2^(101 − 2·scale), which are normal floats. A sum of 2²⁰
    // weights does not overflow either.
    constexpr float head_room = 101.0F;
    is_fixed_ = problem.unit_rows && 2.0F * scale_ <= head_room + 124.0F;
    for (int r = 0; r < 2; ++r) {
      shift_[r] = is_fixed_ ? scale_ - head_room : detail::minus_infinity<float>();
      sum_[r] = cosine_sum_[r] = 0;
    }
  }

  __device__ void stage(shared& /*numbers*/, index_t /*first*/, int /*which*/) const {}

  __device__ void weigh(tile_sums (&tile)[column_steps], const shared& /*numbers*/, index_t first,
                        int /*which*/, index_t end, float (&factors)[2]) {
    // Only tiles at the end of the part, or on a diagonal, contain columns to leave out.
    const bool looks = first + tile_columns > end ||
                       problem_.left_out.touch(first_row_, first_row_ + warp_rows - 1, first,
                                               first + tile_columns);
    const auto is_in = [&](int n, int e) {
      const index_t j = first + column_in_tile(n, e);
      return !looks || (j < end && !problem_.left_out.contain(first_row_ + row_in_warp(e), j));
    };
    float shift[2] = {shift_[0], shift_[1]};
    factors[0] = factors[1] = 1;
    if (!is_fixed_) follow_largest(tile, is_in, shift, factors);
    FEAUG_UNROLL
    for (int n = 0; n < column_steps; ++n) {
      FEAUG_UNROLL
      for (int e = 0; e < 4; ++e) {
        const float cosine = tile[n].at[e];
        const float weight = is_in(n, e) ? fast_exp2(scale_ * cosine - shift[e / 2]) : 0.0F;
        tile[n].at[e] = weight;
        sum_[e / 2] += weight;
        if (weight != 0.0F) cosine_sum_[e / 2] += weight * cosine;
      }
    }
  }

  __device__ void finish(index_t part) const {
    const auto add = [](float a, float b) { return a + b; };
    for (int r = 0; r < 2; ++r) {
      const float sum = over_row_lanes(sum_[r], add);
      const float cosine_sum = over_row_lanes(cosine_sum_[r], add);
      const index_t row = first_row_ + row_in_warp(2 * r);
      if (threadIdx.x % 4 != 0 || row >= problem_.rows.count) continue;
      const index_t at = part * problem_.rows.count + row;
      parts_.shift[at] = shift_[r];
      parts_.sum[at] = sum;
      parts_.cosine_sum[at] = cosine_sum;
    }
  }

 private:
  // The online-softmax step: raises each row's shift to the tile's largest logit and rescales the
  // sums.
  template <class IsIn>
  __device__ void follow_largest(const tile_sums (&tile)[column_steps], const IsIn& is_in,
                                 float (&shift)[2], float (&factors)[2]) {
    float largest[2] = {detail::minus_infinity<float>(), detail::minus_infinity<float>()};
    for (int n = 0; n < column_steps; ++n) {
      for (int e = 0; e < 4; ++e) {
        if (is_in(n, e) && tile[n].at[e] > largest[e / 2]) largest[e / 2] = tile[n].at[e];
      }
    }
    for (int r = 0; r < 2; ++r) {
      largest[r] = over_row_lanes(largest[r], [](float a, float b) { return b > a ? b : a; });
      const float before = shift_[r];
      const float scaled = scale_ * largest[r];
      const float after = scaled > before ? scaled : before;
      // If all logits so far are −∞ (all left out) or NaN, any finite shift gives the correct 0 or
      // NaN.
      shift[r] = after - after == 0.0F ? after : 0.0F;
      factors[r] = before - before == 0.0F ? fast_exp2(before - shift[r]) : 1.0F;
      shift_[r] = after;
      sum_[r] *= factors[r];
      cosine_sum_[r] *= factors[r];
    }
  }

  const fused_problem& problem_;
  const fused_parts& parts_;
  index_t first_row_;
  float scale_;
  bool is_fixed_;
  float shift_[2];
  float sum_[2];
  float cosine_sum_[2];
};

/// Weights of a gradient: coefficient_i · exp(s_ij − log_sum_exp_i), plus the same term for column j,
/// if given.
class gradient_epilogue {
 public:
  struct shared {
    float coefficient[2][tile_columns];
    float shift[2][tile_columns];
  };
  struct sources {
    softmax_weights of_rows;
    softmax_weights of_columns;
  };

  __device__ gradient_epilogue(const fused_problem& problem, const sources& from, index_t first_row)
      : problem_(problem), from_(from), first_row_(first_row), scale_(problem.scale()) {
    for (int r = 0; r < 2; ++r) {
      coefficient_[r] = 0;
      shift_[r] = 0;
      const index_t row = first_row + row_in_warp(2 * r);
      if (from.of_rows.given() && row < problem.rows.count) {
        coefficient_[r] = static_cast<float>(from.of_rows.coefficient[row]);
        shift_[r] = base_2_shift(from.of_rows.log_sum_exp[row]);
      }
    }
  }

  __device__ void stage(shared& numbers, index_t first, int which) const {
    const auto c = static_cast<int>(threadIdx.x);
    if (!from_.of_columns.given() || c >= tile_columns) return;
    const bool is_there = first + c < problem_.columns.count;
    numbers.coefficient[which][c] =
        is_there ? static_cast<float>(from_.of_columns.coefficient[first + c]) : 0.0F;
    numbers.shift[which][c] =
        is_there ? base_2_shift(from_.of_columns.log_sum_exp[first + c]) : 0.0F;
  }

  __device__ void weigh(tile_sums (&tile)[column_steps], const shared& numbers, index_t first,
                        int which, index_t end, float (&factors)[2]) const {
    factors[0] = factors[1] = 1;
    const bool looks = first + tile_columns > end ||
                       problem_.left_out.touch(first_row_, first_row_ + warp_rows - 1, first,
                                               first + tile_columns);
    FEAUG_UNROLL
    for (int n = 0; n < column_steps; ++n) {
      FEAUG_UNROLL
      for (int e = 0; e < 4; ++e) {
        const int c = column_in_tile(n, e);
        const index_t j = first + c;
        const float logit = scale_ * tile[n].at[e];
        float weight = 0;
        if (from_.of_rows.given()) weight = coefficient_[e / 2] * fast_exp2(logit - shift_[e / 2]);
        if (from_.of_columns.given())
          weight += numbers.coefficient[which][c] * fast_exp2(logit - numbers.shift[which][c]);
        if (looks && (j >= end || problem_.left_out.contain(first_row_ + row_in_warp(e), j)))
          weight = 0;
        tile[n].at[e] = weight;
      }
    }
  }

  __device__ void finish(index_t /*part*/) const {}

 private:
  static __device__ float base_2_shift(double log_sum_exp) {
    return detail::exponent_shift<float>(log_sum_exp) * 1.44269504F;
  }

  const fused_problem& problem_;
  const sources& from_;
  index_t first_row_;
  float scale_;
  float coefficient_[2];
  float shift_[2];
};

/// The block's dynamic shared memory.
template <int Features, class Weigher>
struct fused_shared {
  product_tiles<bfloat16, Features> tiles;
  typename Weigher::shared numbers;
};

// A block computes 128 rows × one part of the columns, in tiles of 64 columns; each of its 8 warps
// has 16 rows. Limited by tensor-core FLOP: 2·Features per logit, 4·Features with Sums, beside one
// exponential per logit (gradient: one per given side). A block reads its rows once and each column
// of its part once, 2·Features bytes each. Shared memory: 512·(Features + 8) bytes (36, 68 or 132
// KiB), plus 1 KiB for the gradient. One block per multiprocessor. Registers: at most 255.
template <int Features, bool Sums, class Weigher, class Source>
__global__ void __launch_bounds__(tile_block, 1)
    fused_contrast_kernel(fused_problem problem, Source source, float* weighted) {
  using shared_type = fused_shared<Features, Weigher>;
  FEAUG_DYNAMIC_SHARED(shared_type, shared);
  const index_t block_row = static_cast<index_t>(blockIdx.x) * tile_rows;
  const int warp_row = static_cast<int>(threadIdx.x) / warp_lanes * warp_rows;
  const index_t part = blockIdx.y;
  const index_t begin = part * problem.part_columns;
  const index_t end = begin + problem.part_columns < problem.columns.count
                          ? begin + problem.part_columns
                          : problem.columns.count;
  Weigher epilogue(problem, source, block_row + warp_row);
  tile_sums sums[Sums ? Features / 8 : 1] = {};
  for_each_column_tile<Features>(
      shared->tiles, problem.rows, block_row, problem.columns, begin, end,
      [&](index_t first, int stage) { epilogue.stage(shared->numbers, first, stage); },
      [&](index_t first, int stage) {
        tile_sums tile[column_steps];
        multiply_rows<Features>(&shared->tiles.rows[warp_row], shared->tiles.columns[stage], tile);
        float factors[2];
        epilogue.weigh(tile, shared->numbers, first, stage, end, factors);
        // The lanes may have branched; the products below need the whole warp together.
        __syncwarp();
        if constexpr (Sums) {
          if (factors[0] != 1.0F || factors[1] != 1.0F) {
            FEAUG_UNROLL
            for (auto& sum : sums) {
              for (int e = 0; e < 4; ++e) sum.at[e] *= factors[e / 2];
            }
          }
          add_weighted<Features>(tile, shared->tiles.columns[stage], sums);
        }
      });
  epilogue.finish(part);
  if constexpr (Sums) {
    FEAUG_UNROLL
    for (int n = 0; n < Features / 8; ++n) {
      FEAUG_UNROLL
      for (int e = 0; e < 4; ++e) {
        const index_t row = block_row + warp_row + row_in_warp(e);
        if (row < problem.rows.count) {
          weighted[(part * problem.rows.count + row) * Features + column_in_tile(n, e)] =
              sums[n].at[e];
        }
      }
    }
  }
}

// Merges the parts' softmax sums of each row. One warp per row. Limited by memory bandwidth: reads
// 12 bytes a part, with the mean 4·cols more. A part's factor, an exp2 in double, is computed again
// at each use. Registers: at most 64.
template <class C>
__global__ void __launch_bounds__(256)
    merge_softmax_kernel(fused_parts parts, index_t part_count, index_t rows, index_t cols,
                         index_t features, softmax_rows<C> out) {
  constexpr double log_2 = 0.69314718055994531;
  const int lane = static_cast<int>(threadIdx.x);
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; i < rows;
       i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    float shift = detail::minus_infinity<float>();
    for (index_t p = 0; p < part_count; ++p) {
      const float other = parts.shift[p * rows + i];
      if (other > shift) shift = other;
    }
    // A part whose columns were all left out has shift −∞ and sums of 0.
    const auto factor = [&](index_t p) {
      const float own = parts.shift[p * rows + i];
      return own - own == 0.0F ? exp2(static_cast<double>(own) - static_cast<double>(shift)) : 1.0;
    };
    double sum = 0;
    double cosine_sum = 0;
    for (index_t p = 0; p < part_count; ++p) {
      sum += factor(p) * static_cast<double>(parts.sum[p * rows + i]);
      cosine_sum += factor(p) * static_cast<double>(parts.cosine_sum[p * rows + i]);
    }
    const double share = sum == 0 ? 0.0 : 1.0 / sum;
    if (lane == 0) {
      const double known = shift - shift == 0.0F ? log_2 * static_cast<double>(shift) : 0.0;
      out.log_sum_exp[i] = sum == 0 ? detail::minus_infinity<double>() : known + std::log(sum);
      if (out.mean_cosine != nullptr) out.mean_cosine[i] = cosine_sum * share;
    }
    if (out.mean == nullptr) continue;
    for (index_t d = lane; d < cols; d += warp_lanes) {
      double weighted = 0;
      for (index_t p = 0; p < part_count; ++p)
        weighted += factor(p) * static_cast<double>(parts.weighted[(p * rows + i) * features + d]);
      out.mean[i * cols + d] = static_cast<C>(weighted * share);
    }
  }
}

// sums (rows × cols) = the parts added in order. One thread per element. Limited by memory
// bandwidth: reads part_count elements and writes one.
template <class C>
__global__ void __launch_bounds__(256)
    add_parts_kernel(const C* parts, index_t part_count, index_t rows, index_t cols,
                     index_t features, C* sums) {
  for (index_t at = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; at < rows * cols;
       at += static_cast<index_t>(gridDim.x) * blockDim.x) {
    const index_t i = at / cols;
    C sum = 0;
    for (index_t p = 0; p < part_count; ++p) sum += parts[(p * rows + i) * features + at % cols];
    sums[at] = sum;
  }
}

template <int Features, bool Sums, class Weigher, class Source>
void launch_fused(const operation& call, const fused_problem& problem, index_t part_count,
                  const Source& source, float* weighted) {
  constexpr auto bytes = sizeof(fused_shared<Features, Weigher>);
  static_assert(bytes <= tile_shared_bytes<Features>);
  const auto kernel = fused_contrast_kernel<Features, Sums, Weigher, Source>;
  call.allow_dynamic_shared(kernel, bytes);
  const auto row_tiles = static_cast<unsigned>((problem.rows.count + tile_rows - 1) / tile_rows);
  call.launch(kernel, dim3(row_tiles, static_cast<unsigned>(part_count)), tile_block, bytes,
              problem, source, weighted);
}

/// Chooses the kernel for the number of features that the rows were packed with.
template <bool Sums, class Weigher, class Source>
void launch_fused(const operation& call, const fused_problem& problem, index_t part_count,
                  const Source& source, float* weighted) {
  switch (problem.rows.features) {
    case 64:
      return launch_fused<64, Sums, Weigher>(call, problem, part_count, source, weighted);
    case 128:
      return launch_fused<128, Sums, Weigher>(call, problem, part_count, source, weighted);
    default:
      return launch_fused<256, Sums, Weigher>(call, problem, part_count, source, weighted);
  }
}

/// The number of parts that the columns are split into.
inline index_t part_count_of(const fused_problem& problem) {
  return (problem.columns.count + problem.part_columns - 1) / problem.part_columns;
}

/// softmax_pass, fused. Scratch: 12 bytes per row and part, 4 · features more with the mean. The
/// number of parts is chosen to give about 132 blocks with the row tiles.
template <element T>
void fused_softmax(operation& call, const contrast_problem<T>& problem,
                   const softmax_rows<float>& out) {
  const fused_problem fused = fuse(problem);
  const index_t rows = fused.rows.count;
  const index_t part_count = part_count_of(fused);
  const fused_parts parts = {
      .shift = call.take<float>(part_count * rows),
      .sum = call.take<float>(part_count * rows),
      .cosine_sum = call.take<float>(part_count * rows),
      .weighted = out.mean == nullptr ? nullptr
                                      : call.take<float>(part_count * rows * fused.rows.features)};
  if (out.mean == nullptr) {
    launch_fused<false, softmax_epilogue>(call, fused, part_count, parts, nullptr);
  } else {
    launch_fused<true, softmax_epilogue>(call, fused, part_count, parts, parts.weighted);
  }
  const dim3 block(warp_lanes, 8);
  call.launch(merge_softmax_kernel<float>, grid_size(rows, block.y), block, 0, parts, part_count,
              rows, problem.cols, fused.rows.features, out);
}

/// sums = Σ_j weight_ij column_j, rows × cols, fused. Scratch: 4 · features bytes per row and part.
template <element T>
void fused_weighted_sums(operation& call, const contrast_problem<T>& problem,
                         const softmax_weights& of_rows, const softmax_weights& of_columns,
                         float* sums) {
  const fused_problem fused = fuse(problem);
  const index_t rows = fused.rows.count;
  const index_t part_count = part_count_of(fused);
  auto* weighted = call.take<float>(part_count * rows * fused.rows.features);
  launch_fused<true, gradient_epilogue>(call, fused, part_count,
                                        gradient_epilogue::sources{of_rows, of_columns}, weighted);
  call.launch(add_parts_kernel<float>, grid_size(rows * problem.cols, 256), 256, 0, weighted,
              part_count, rows, problem.cols, fused.rows.features, sums);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
