// The pass over the D × D cross-moments of features: barlow_twins' correlations, vicreg's
// covariances.
//
// The matrix is computed in strips of rows, so that scratch memory is bounded for any D. There is
// one strip for D below about 1400 (1000 in double). A strip's rows are measured, then multiplied
// with the batch for the gradient.
#pragma once

#include <Eigen/Core>
#include <algorithm>
#include <cstddef>
#include <vector>

#include "feaug/core/columns.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/l2_norm.hpp"
#include "feaug/cpu/core/lanes.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/tile_map.hpp"
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

/// Copies rows begin … begin + count − 1 of columns first … first + width − 1 to a contiguous
/// array.
template <element T>
void pack_columns(const scaled_columns<T>& from, index_t begin, index_t count, index_t first,
                  index_t width, compute_t<T>* to) {
  for (index_t i = begin; i < begin + count; ++i, to += width) {
    for (index_t j = 0; j < width; ++j) to[j] = static_cast<compute_t<T>>(from(i, first + j));
  }
}

/// strip = rows first … first + count − 1 of C. Products over 256 rows of the batch are accumulated
/// in double to keep precision. Limited by the matrix product: 2·N·count·D FLOP.
template <element T>
void make_strip(cpu_context& ctx, const cross_moments_problem<T>& problem, index_t first,
                index_t count, compute_t<T>* strip) {
  using C = compute_t<T>;
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
  };
  std::vector<worker_scratch> all;
  all.reserve(static_cast<std::size_t>(worker_count(ctx, tiles)));
  for (int worker = 0; worker < worker_count(ctx, tiles); ++worker) {
    all.push_back({.x = scratch.take<C>(chunk_rows * side),
                   .y = scratch.take<C>(chunk_rows * side),
                   .product = scratch.take<C>(side * side),
                   .total = scratch.take<double>(side * side)});
  }
  for_each_block(ctx, tiles, [&](index_t tile, int worker) {
    const worker_scratch& my = all[static_cast<std::size_t>(worker)];
    const index_t top = tile / across * side;
    const index_t left = tile % across * side;
    const index_t height = std::min(side, count - top);
    const index_t width = std::min(side, features - left);
    std::fill_n(my.total, height * width, 0.0);
    for (index_t begin = 0; begin < rows; begin += chunk_rows) {
      const index_t taken = std::min(chunk_rows, rows - begin);
      pack_columns(problem.x, begin, taken, first + top, height, my.x);
      pack_columns(problem.y, begin, taken, left, width, my.y);
      tile_map<C>(my.product, height, width).noalias() =
          tile_map<C>(my.x, taken, height).transpose() * tile_map<C>(my.y, taken, width);
      for (index_t at = 0; at < height * width; ++at)
        my.total[at] += static_cast<double>(my.product[at]);
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
  using strip_map =
      Eigen::Map<const Eigen::Matrix<C, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>, 0,
                 Eigen::OuterStride<>>;
  constexpr index_t chunk_cols = 256;
  const index_t rows = problem.y.x.rows();
  const index_t features = problem.features();
  const index_t block_rows = std::clamp<index_t>((rows + 63) / 64 * 8, 8, 64);
  const index_t blocks = (rows + block_rows - 1) / block_rows;
  workspace::scope scratch(ctx.workspace);
  struct worker_scratch {
    C* y;
    C* sums;
  };
  std::vector<worker_scratch> all;
  all.reserve(static_cast<std::size_t>(worker_count(ctx, blocks)));
  for (int worker = 0; worker < worker_count(ctx, blocks); ++worker) {
    all.push_back({.y = scratch.take<C>(block_rows * chunk_cols),
                   .sums = scratch.take<C>(block_rows * count)});
  }
  for_each_block(ctx, blocks, [&](index_t block, int worker) {
    const worker_scratch& my = all[static_cast<std::size_t>(worker)];
    const index_t begin = block * block_rows;
    const index_t height = std::min(block_rows, rows - begin);
    std::fill_n(my.sums, height * count, C{0});
    for (index_t left = 0; left < features; left += chunk_cols) {
      const index_t width = std::min(chunk_cols, features - left);
      pack_columns(problem.y, begin, height, left, width, my.y);
      tile_map<C>(my.sums, height, count).noalias() +=
          tile_map<C>(my.y, height, width) *
          strip_map(strip + left, count, width, Eigen::OuterStride<>(features)).transpose();
    }
    for (index_t i = 0; i < height; ++i) finish(begin + i, my.sums + i * count);
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
      write_gradient(part, i, sums);
    });
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu
