// The pass over the D × D cross-moments of features: barlow_twins' correlations, vicreg's
// covariances.
//
// The matrix is computed in strips of rows, so that scratch memory is bounded for any D. There is
// one strip for D below about 1400 (1000 in double). A strip's rows are measured, then multiplied
// with the batch for the gradient.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cstddef>

#include "feaug/core/columns.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/l2_norm.hpp"
#include "feaug/cpu/core/lanes.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/product_pieces.hpp"
#include "feaug/cpu/core/scratch_array.hpp"
#include "feaug/cpu/core/tile_product.hpp"
#include "feaug/loss/cross_moments.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

template <element T>
using cross_moments_problem = feaug::detail::cross_moments_problem<T>;

/// Elements of a strip: 8 MiB.
template <element T>
inline constexpr index_t moment_strip_elements = static_cast<index_t>((std::size_t{8} << 20) /
                                                                      sizeof(compute_t<T>));

namespace detail {

/// Copies rows begin … begin + count − 1 of columns first … first + width − 1 to rows that are
/// padded with zeros to a multiple of 16.
template <element T>
void pack_columns(const scaled_columns<T>& from, index_t begin, index_t count, index_t first,
                  index_t width, compute_t<T>* to) {
  const index_t stride = padded_columns(width);
  for (index_t i = begin; i < begin + count; ++i, to += stride) {
    for (index_t j = 0; j < width; ++j) to[j] = static_cast<compute_t<T>>(from(i, first + j));
    std::fill(to + width, to + stride, compute_t<T>{0});
  }
}

/// The same, transposed: a row of `to` has one feature of all rows.
template <element T>
void pack_transposed(const scaled_columns<T>& from, index_t begin, index_t count, index_t first,
                     index_t width, compute_t<T>* to) {
  const index_t stride = padded_columns(count);
  for (index_t i = 0; i < stride; ++i) {
    for (index_t j = 0; j < width; ++j)
      to[j * stride + i] =
          i < count ? static_cast<compute_t<T>>(from(begin + i, first + j)) : compute_t<T>{0};
  }
}

/// strip = rows first … first + count − 1 of C. Products over 256 rows of the batch are accumulated
/// in double to keep precision. Limited by the matrix product: 2·N·count·D FLOP.
template <element T, class C>
void make_strip(cpu_context& ctx, const cross_moments_problem<T>& problem, index_t first,
                index_t count, C* strip) {
  constexpr index_t chunk_rows = 256;
  const index_t rows = problem.x.x.rows();
  const index_t features = problem.features();
  // A small matrix is still split into 16 tiles for the threads.
  const index_t side = std::clamp<index_t>((features + 31) / 32 * 8, 8, 128);
  const index_t across = (features + side - 1) / side;
  const index_t tiles = (count + side - 1) / side * across;
  workspace::scope scratch(ctx.workspace);
  struct worker_scratch {
    C* x;
    C* y;
    C* product;
    double* total;
    product_pieces pieces;
  };
  const index_t stride = padded_columns(side);
  const scratch_array<worker_scratch> all(
      scratch, worker_count(ctx, tiles), [&]() -> worker_scratch {
        return {.x = scratch.take<C>(chunk_rows * stride),
                .y = scratch.take<C>(chunk_rows * stride),
                .product = scratch.take<C>(side * stride),
                .total = scratch.take<double>(side * side),
                .pieces = take_pieces<C>(ctx, scratch, significant_bits<C>)};
      });
  for_each_block(ctx, tiles, [&](index_t tile, int worker) {
    const worker_scratch& my = all[worker];
    const index_t top = tile / across * side;
    const index_t left = tile % across * side;
    const index_t height = std::min(side, count - top);
    const index_t width = std::min(side, features - left);
    std::fill_n(my.total, height * width, 0.0);
    for (index_t begin = 0; begin < rows; begin += chunk_rows) {
      const index_t taken = std::min(chunk_rows, rows - begin);
      pack_columns(problem.x, begin, taken, first + top, height, my.x);
      pack_columns(problem.y, begin, taken, left, width, my.y);
      const index_t across_tile = padded_columns(width);
      multiply<C>(usable(ctx.instructions), {.a = my.x,
                                             .a_row = 1,
                                             .a_depth = padded_columns(height),
                                             .b = my.y,
                                             .b_panel = panel_width,
                                             .b_depth = across_tile,
                                             .c = my.product,
                                             .c_row = across_tile,
                                             .rows = height,
                                             .cols = across_tile,
                                             .depth = taken,
                                             .pieces = my.pieces.of_features});
      for (index_t r = 0; r < height; ++r) {
        const C* const from = my.product + r * across_tile;
        double* const to = my.total + r * width;
        for_each_in_lanes(width, [=](index_t k) { to[k] += static_cast<double>(from[k]); });
      }
    }
    for (index_t r = 0; r < height; ++r) {
      C* const to = strip + (top + r) * features + left;
      for (index_t k = 0; k < width; ++k)
        to[k] = static_cast<C>(problem.scale * my.total[r * width + k]);
    }
  });
}

/// Calls finish(i, sums) for every row i of the batch, sums_j = Σ_k strip_jk · y_ik. Limited by the
/// matrix product: 2·N·count·D FLOP.
template <element T, class Finish>
void multiply_strip(cpu_context& ctx, const cross_moments_problem<T>& problem, index_t count,
                    const compute_t<T>* strip, const Finish& finish) {
  using C = compute_t<T>;
  constexpr index_t chunk_cols = 256;
  const index_t rows = problem.y.x.rows();
  const index_t features = problem.features();
  const index_t block_rows = std::clamp<index_t>((rows + 63) / 64 * 8, 8, 64);
  const index_t blocks = (rows + block_rows - 1) / block_rows;
  workspace::scope scratch(ctx.workspace);
  struct worker_scratch {
    C* y;     // chunk_cols rows of features
    C* sums;  // transposed: `count` rows
    C* row;
    product_pieces pieces;
  };
  const index_t most_columns = padded_columns(block_rows);
  const scratch_array<worker_scratch> all(
      scratch, worker_count(ctx, blocks), [&]() -> worker_scratch {
        return {.y = scratch.take<C>(chunk_cols * most_columns),
                .sums = scratch.take<C>(count * most_columns),
                .row = scratch.take<C>(count),
                .pieces = take_pieces<C>(ctx, scratch, significant_bits<C>)};
      });
  for_each_block(ctx, blocks, [&](index_t block, int worker) {
    const worker_scratch& my = all[worker];
    const index_t begin = block * block_rows;
    const index_t height = std::min(block_rows, rows - begin);
    const index_t stride = padded_columns(height);
    for (index_t left = 0; left < features; left += chunk_cols) {
      const index_t width = std::min(chunk_cols, features - left);
      pack_transposed(problem.y, begin, height, left, width, my.y);
      multiply<C>(usable(ctx.instructions), {.a = strip + left,
                                             .a_row = features,
                                             .a_depth = 1,
                                             .b = my.y,
                                             .b_panel = panel_width,
                                             .b_depth = stride,
                                             .c = my.sums,
                                             .c_row = stride,
                                             .rows = count,
                                             .cols = stride,
                                             .depth = width,
                                             .accumulate = left > 0,
                                             .pieces = my.pieces.of_weights});
    }
    for (index_t i = 0; i < height; ++i) {
      for (index_t j = 0; j < count; ++j) my.row[j] = my.sums[j * stride + i];
      finish(begin + i, my.row);
    }
  });
}

}  // namespace detail

/// For every row j of C, once and in any order, calls
///     measure(j, C_jj, Σ_{k≠j} C_jk²),
/// and, if x wants a gradient,
///     gradient(i, j, Σ_{k≠j} C_jk · y_ik)
/// for every element, after row j was measured. One matrix product of N × D × D, two with the
/// gradient.
template <element T, class Measure, class Gradient>
void cross_moments_pass(cpu_context& ctx, const cross_moments_problem<T>& problem,
                        const Measure& measure, const operand<T>& x, const Gradient& gradient) {
  using C = compute_t<T>;
  const index_t features = problem.features();
  const index_t strip_rows = problem.strip_rows();
  workspace::scope scratch(ctx.workspace);
  C* const strip = scratch.take<C>(strip_rows * features);
  for (index_t first = 0; first < features; first += strip_rows) {
    const index_t count = std::min(strip_rows, features - first);
    detail::make_strip(ctx, problem, first, count, strip);
    for_each_row_block(ctx, count, features, [&](index_t begin, index_t block_rows, int) {
      for (index_t r = begin; r < begin + block_rows; ++r) {
        C* const row = strip + r * features;
        const auto diagonal = static_cast<double>(row[first + r]);
        row[first + r] = 0;
        measure(first + r, diagonal, sum_of_terms<double>(features, [row](index_t k) {
                  return static_cast<double>(row[k]) * static_cast<double>(row[k]);
                }));
      }
    });
    if (!x.wants_gradient()) continue;
    operand<T> part = x;
    part.gradient.data += first;
    part.gradient.extents[1] = count;
    detail::multiply_strip(ctx, problem, count, strip, [&](index_t i, C* sums) {
      for (index_t j = 0; j < count; ++j)
        sums[j] = static_cast<C>(gradient(i, first + j, static_cast<double>(sums[j])));
      write_gradient(usable(ctx.instructions), part, i, sums);
    });
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
