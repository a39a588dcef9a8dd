// CPU implementation of effective_rank: the number of directions in which features vary.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "feaug/core/element.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/scratch_array.hpp"
#include "feaug/cpu/core/symmetric_eigenvalues.hpp"
#include "feaug/cpu/core/tile_product.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/diagnostics/effective_rank.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// The largest finite |x_ij|; 0 if there is none.
template <element T>
double largest_magnitude(const matrix_view<const T>& x) {
  double largest = 0;
  for (index_t i = 0; i < x.rows(); ++i) {
    for (index_t j = 0; j < x.cols(); ++j) {
      const double magnitude = std::fabs(static_cast<double>(load(x(i, j))));
      if (feaug::detail::is_finite(magnitude)) largest = std::max(largest, magnitude);
    }
  }
  return largest;
}

/// A power of two, 2^±1000 at most, near 1 / x for x > 0; 1 for 0.
inline double power_of_two_over(double x) {
  return x > 0 ? std::ldexp(1.0, std::clamp(-std::ilogb(x), -1000, 1000)) : 1.0;
}

/// The Gram matrix of the columns of scale·x, or of its rows if there are fewer rows: the lower
/// triangle of `side` × `side`, in double. Limited by FLOP: about side² · depth, in tiles of 64 × 64.
template <element T>
void small_gram(cpu_context& ctx, const matrix_view<const T>& x, double scale, double* gram) {
  constexpr index_t tile = 64;
  constexpr index_t chunk = 256;
  const bool of_columns = x.cols() <= x.rows();
  const index_t side = std::min(x.rows(), x.cols());
  const index_t depth = std::max(x.rows(), x.cols());
  const index_t across = (side + tile - 1) / tile;
  workspace::scope scratch(ctx.workspace);
  struct worker_scratch {
    double* a;
    double* b;
    double* product;
  };
  const scratch_array<worker_scratch> all(scratch, worker_count(ctx, across * across),
                                          [&]() -> worker_scratch {
                                            return {.a = scratch.take<double>(chunk * tile),
                                                    .b = scratch.take<double>(chunk * tile),
                                                    .product = scratch.take<double>(tile * tile)};
                                          });
  // Packs vectors first … first + count − 1 of the side, elements begin … begin + length − 1 of
  // each; zeros follow up to the tile's size.
  const auto pack = [&](index_t first, index_t count, index_t begin, index_t length, double* to) {
    for (index_t d = begin; d < begin + length; ++d, to += tile) {
      for (index_t v = 0; v < count; ++v)
        to[v] = scale * static_cast<double>(load(of_columns ? x(d, first + v) : x(first + v, d)));
      std::fill(to + count, to + tile, 0.0);
    }
  };
  for_each_block(ctx, across * across, [&](index_t block, int worker) {
    const index_t top = block / across * tile;
    const index_t left = block % across * tile;
    if (left > top) return;
    const index_t height = std::min(tile, side - top);
    const index_t width = std::min(tile, side - left);
    const worker_scratch& my = all[worker];
    for (index_t begin = 0; begin < depth; begin += chunk) {
      const index_t length = std::min(chunk, depth - begin);
      pack(top, height, begin, length, my.a);
      pack(left, width, begin, length, my.b);
      multiply<double>(usable(ctx.instructions), {.a = my.a,
                                                  .a_row = 1,
                                                  .a_depth = tile,
                                                  .b = my.b,
                                                  .b_panel = panel_width,
                                                  .b_depth = tile,
                                                  .c = my.product,
                                                  .c_row = tile,
                                                  .rows = height,
                                                  .cols = tile,
                                                  .depth = length,
                                                  .accumulate = begin > 0});
    }
    for (index_t i = 0; i < height; ++i)
      std::copy_n(my.product + i * tile, width, gram + (top + i) * side + left);
  });
}

}  // namespace cpu

/// Scratch: 8·min(N, D)² + 48·min(N, D) bytes, and 288 KiB a thread.
template <>
struct detail::effective_rank_on<cpu_context> {
  template <element T>
  static void run(cpu_context& ctx, const matrix_view<const T>& x, const vector_view<double>& to) {
    const index_t side = std::min(x.rows(), x.cols());
    workspace::scope scratch(ctx.workspace);
    auto* const gram = scratch.take<double>(side * side);
    // The rank does not depend on the scale. A power of two changes no bit, and keeps the squares of
    // doubles within range.
    cpu::small_gram<T>(ctx, x, cpu::power_of_two_over(cpu::largest_magnitude(x)), gram);
    bool finite = true;
    double largest = 0;  // of all elements: it is on the diagonal
    for (index_t k = 0; k < side; ++k) {
      finite = finite && is_finite(gram[k * side + k]);
      largest = std::max(largest, gram[k * side + k]);
    }
    if (!finite) {  // the solver needs finite input
      to[0] = std::numeric_limits<double>::quiet_NaN();
      return;
    }
    const double scale = cpu::power_of_two_over(largest);
    for (index_t i = 0; i < side; ++i) {
      for (index_t j = 0; j <= i; ++j) gram[i * side + j] *= scale;
    }
    auto* const values = scratch.take<double>(side);
    cpu::symmetric_eigenvalues(cpu::usable(ctx.instructions), {gram, side, side}, values,
                               scratch.take<double>(5 * side));
    std::sort(values, values + side);
    to[0] = rank_of_eigenvalues(values, side, eigenvalue_rounding(x.rows(), x.cols()));
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
