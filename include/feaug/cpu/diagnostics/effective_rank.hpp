// The effective rank: in how many directions features vary.
#pragma once

#include <Eigen/Core>
#include <Eigen/Eigenvalues>
#include <algorithm>
#include <cstddef>
#include <limits>
#include <string_view>
#include <type_traits>
#include <vector>

#include "feaug/core/element.hpp"
#include "feaug/core/row_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/tile_map.hpp"
#include "feaug/diagnostics/effective_rank.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

/// The Gram matrix of x's columns, or of its rows where those are fewer: the lower triangle of
/// `side` × `side`, in double.
template <element T>
void small_gram(cpu_context& ctx, const matrix_view<const T>& x, double* gram) {
  constexpr index_t tile = 64;
  constexpr index_t chunk = 256;
  const bool of_columns = x.cols() <= x.rows();
  const index_t side = std::min(x.rows(), x.cols());
  const index_t depth = std::max(x.rows(), x.cols());
  const index_t across = (side + tile - 1) / tile;
  workspace::scope scratch(ctx.workspace);
  const int workers = cpu::worker_count(ctx, across * across);
  std::vector<double*> packed;
  packed.reserve(static_cast<std::size_t>(workers));
  for (int worker = 0; worker < workers; ++worker)
    packed.push_back(scratch.take<double>(2 * chunk * tile));
  // Vectors first … first + count − 1 of the side, elements begin … begin + length − 1 of each.
  const auto pack = [&](index_t first, index_t count, index_t begin, index_t length, double* to) {
    for (index_t d = begin; d < begin + length; ++d) {
      for (index_t v = first; v < first + count; ++v)
        *to++ = static_cast<double>(load(of_columns ? x(d, v) : x(v, d)));
    }
  };
  cpu::for_each_block(ctx, across * across, [&](index_t block, int worker) {
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
      to.noalias() += cpu::detail::tile_map<double>(a, length, height).transpose() *
                      cpu::detail::tile_map<double>(b, length, width);
    }
  });
}

}  // namespace detail

/// exp(−Σ_k p_k log p_k), p the singular values of x scaled to sum 1 (Roy and Vetterli, EUSIPCO
/// 2007; without the 1e-7 that RankMe, arXiv 2210.02885, adds to every p): from 1, where all rows
/// are multiples of one, to min(N, D), where they spread evenly. A matrix of zeros has 0.
///
/// x N × D, taken as it is: neither centred nor normalised; its scale does not matter. Singular
/// values are roots of eigenvalues of the smaller Gram matrix, XᵀX or XXᵀ, in double: those below
/// some 1e-8·√max(N, D) of the largest count as 0. NaN or ∞ in x makes it NaN. No gradient: a
/// diagnostic. Scratch: 8·min(N, D)² bytes and 256 KiB a thread; Eigen takes as much
/// again of the heap, and time grows with min(N, D)³: of more than some thousand features take a
/// sample of rows.
template <class X, class T = std::remove_const_t<X>>
requires element<T>
void effective_rank(cpu_context& ctx, const matrix_view<X>& x, const vector_view<double>& to) {
  constexpr std::string_view op = "effective_rank";
  detail::effective_rank_arguments<T, memory_space::host>(op, x, to);
  const index_t side = std::min(x.rows(), x.cols());
  workspace::scope scratch(ctx.workspace);
  auto* const gram = scratch.take<double>(side * side);
  detail::small_gram<T>(ctx, x, gram);
  [[maybe_unused]] const cpu::one_openmp_thread alone;
  const cpu::detail::tile_map<double> matrix(gram, side, side);
  double largest = 0;
  for (index_t k = 0; k < side; ++k) {
    if (!(gram[k * side + k] <= largest)) largest = gram[k * side + k];
  }
  if (!detail::is_finite(largest)) {  // the solver would not end well
    to[0] = std::numeric_limits<double>::quiet_NaN();
    return;
  }
  const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(matrix, Eigen::EigenvaluesOnly);
  to[0] = detail::rank_of_eigenvalues(solver.eigenvalues().data(), side,
                                      detail::eigenvalue_rounding(x.rows(), x.cols()));
}

/// The same as a number.
template <class X, class T = std::remove_const_t<X>>
requires element<T>
double effective_rank(cpu_context& ctx, const matrix_view<X>& x) {
  double value = 0;
  effective_rank(ctx, x, scalar(value));
  return value;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
