// CPU implementation of effective_rank: the number of directions in which features vary.
#pragma once

#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cstddef>
#include <limits>
#include <vector>

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/tile_map.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/diagnostics/effective_rank.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// The Gram matrix of x's columns, or of its rows if there are fewer rows: the lower triangle of
/// `side` × `side`, in double. Limited by FLOP: about side² · depth, in tiles of 64 × 64.
template <element T>
void small_gram(cpu_context& ctx, const matrix_view<const T>& x, double* gram) {
  constexpr index_t tile = 64;
  constexpr index_t chunk = 256;
  const bool of_columns = x.cols() <= x.rows();
  const index_t side = std::min(x.rows(), x.cols());
  const index_t depth = std::max(x.rows(), x.cols());
  const index_t across = (side + tile - 1) / tile;
  workspace::scope scratch(ctx.workspace);
  const int workers = worker_count(ctx, across * across);
  std::vector<double*> packed;
  packed.reserve(static_cast<std::size_t>(workers));
  for (int worker = 0; worker < workers; ++worker)
    packed.push_back(scratch.take<double>(2 * chunk * tile));
  // Packs vectors first … first + count − 1 of the side, elements begin … begin + length − 1 of
  // each.
  const auto pack = [&](index_t first, index_t count, index_t begin, index_t length, double* to) {
    for (index_t d = begin; d < begin + length; ++d) {
      for (index_t v = first; v < first + count; ++v)
        *to++ = static_cast<double>(load(of_columns ? x(d, v) : x(v, d)));
    }
  };
  for_each_block(ctx, across * across, [&](index_t block, int worker) {
    const index_t top = block / across * tile;
    const index_t left = block % across * tile;
    if (left > top) return;
    const index_t height = std::min(tile, side - top);
    const index_t width = std::min(tile, side - left);
    double* const a = packed[static_cast<std::size_t>(worker)];
    double* const b = a + chunk * tile;
    Eigen::Map<Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>, 0,
               Eigen::OuterStride<>>
        to(gram + top * side + left, height, width, Eigen::OuterStride<>(side));
    to.setZero();
    for (index_t begin = 0; begin < depth; begin += chunk) {
      const index_t length = std::min(chunk, depth - begin);
      pack(top, height, begin, length, a);
      pack(left, width, begin, length, b);
      to.noalias() += detail::tile_map<double>(a, length, height).transpose() *
                      detail::tile_map<double>(b, length, width);
    }
  });
}

}  // namespace cpu

/// Scratch: 8·min(N, D)² bytes and 256 KiB a thread; Eigen allocates as much again on the heap.
template <>
struct detail::effective_rank_on<cpu_context> {
  template <element T>
  static void run(cpu_context& ctx, const matrix_view<const T>& x, const vector_view<double>& to) {
    const index_t side = std::min(x.rows(), x.cols());
    workspace::scope scratch(ctx.workspace);
    auto* const gram = scratch.take<double>(side * side);
    cpu::small_gram<T>(ctx, x, gram);
    [[maybe_unused]] const cpu::one_openmp_thread alone;
    const cpu::detail::tile_map<double> matrix(gram, side, side);
    double largest = 0;
    for (index_t k = 0; k < side; ++k) {
      if (!(gram[k * side + k] <= largest)) largest = gram[k * side + k];
    }
    if (!is_finite(largest)) {  // the solver needs finite input
      to[0] = std::numeric_limits<double>::quiet_NaN();
      return;
    }
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(matrix, Eigen::EigenvaluesOnly);
    to[0] = rank_of_eigenvalues(solver.eigenvalues().data(), side,
                                eigenvalue_rounding(x.rows(), x.cols()));
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
