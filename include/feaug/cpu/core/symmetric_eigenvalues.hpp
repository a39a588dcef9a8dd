// Eigenvalues of a symmetric matrix in double.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "feaug/core/elementary.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/lanes.hpp"
#include "feaug/cpu/core/vectors.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

namespace detail {

/// A step of the reduction for the elements of a row that are left of the diagonal: subtracts the
/// last step's reflection, and multiplies with the next one's vector u.
struct reflected_row {
  double* row;
  index_t count;
  const double* last_u;  ///< row −= of_u · last_u + of_q · last_q
  const double* last_q;
  double of_u;
  double of_q;
  const double* u;
  double* product;  ///< product += factor · row
  double factor;
};

/// Returns ⟨row, u⟩.
inline double reflect_row_portable(const reflected_row& r, index_t begin) {
  double lanes[lane_count] = {};
  const auto one = [&](index_t k, index_t lane) {
    const double x = r.row[k] - (r.of_u * r.last_u[k] + r.of_q * r.last_q[k]);
    r.row[k] = x;
    r.product[k] += r.factor * x;
    lanes[lane] += x * r.u[k];
  };
  const index_t full = begin + in_full_lanes(r.count - begin);
  for (index_t k = begin; k < full; k += lane_count) {
    for (index_t lane = 0; lane < lane_count; ++lane) one(k + lane, lane);
  }
  for (index_t k = full; k < r.count; ++k) one(k, k - full);
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return sum;
}

#if FEAUG_X86
/// Of the first `whole` elements, a multiple of 8.
FEAUG_AVX2 inline double reflect_row_avx2(const reflected_row& r, index_t whole) {
  const __m256d of_u = _mm256_set1_pd(r.of_u);
  const __m256d of_q = _mm256_set1_pd(r.of_q);
  const __m256d factor = _mm256_set1_pd(r.factor);
  __m256d sums[2] = {_mm256_setzero_pd(), _mm256_setzero_pd()};
  for (index_t k = 0; k < whole; k += 8) {
    FEAUG_UNROLL_REGISTERS
    for (int half = 0; half < 2; ++half) {
      const index_t at = k + 4 * half;
      __m256d x = _mm256_loadu_pd(r.row + at);
      x = _mm256_fnmadd_pd(of_u, _mm256_loadu_pd(r.last_u + at), x);
      x = _mm256_fnmadd_pd(of_q, _mm256_loadu_pd(r.last_q + at), x);
      _mm256_storeu_pd(r.row + at, x);
      _mm256_storeu_pd(r.product + at, _mm256_fmadd_pd(factor, x, _mm256_loadu_pd(r.product + at)));
      sums[half] = _mm256_fmadd_pd(x, _mm256_loadu_pd(r.u + at), sums[half]);
    }
  }
  double lanes[4];
  _mm256_storeu_pd(lanes, sums[0] + sums[1]);
  return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}
#endif

inline double reflect_row([[maybe_unused]] instruction_set instructions, const reflected_row& r) {
#if FEAUG_X86
  if (instructions >= instruction_set::avx2) {
    // The rest is not part of that function: there, compilers may contract a·b + c.
    const index_t whole = r.count / 8 * 8;
    return reflect_row_avx2(r, whole) + reflect_row_portable(r, whole);
  }
#endif
  return reflect_row_portable(r, 0);
}

/// Reduces a symmetric matrix, of which only the lower triangle is read and overwritten, to a
/// tridiagonal one with the same eigenvalues by Householder reflections (Golub and Van Loan, Matrix
/// Computations, 8.3.1): its diagonal, and the elements below[0 … size − 2] beside it. `scratch`: 4
/// · size numbers. About 4/3·size³ FLOP. Each step reads and writes the rest of the matrix once. If
/// the matrix exceeds the caches, memory bandwidth is the limit.
inline void tridiagonalize(instruction_set instructions, const matrix_view<double>& a,
                           double* diagonal, double* below, double* scratch) {
  // Squares of elements far below the rounding of a matrix of size 1; smaller ones could underflow.
  constexpr double negligible = 1e-60;
  const index_t size = a.rows();
  double* u = scratch;
  double* q = scratch + size;
  double* last_u = scratch + 2 * size;
  double* last_q = scratch + 3 * size;
  std::fill_n(last_u, 2 * size, 0.0);  // nothing to subtract in the first step
  for (index_t i = size - 1; i >= 1; --i) {
    double* const row = a.row(i);
    for_each_in_lanes(i + 1,
                      [=](index_t k) { row[k] -= last_q[i] * last_u[k] + last_u[i] * last_q[k]; });
    std::copy_n(row, i, u);
    const double corner = u[i - 1];
    const double rest = sum_of_terms<double>(i - 1, [u](index_t k) { return u[k] * u[k]; });
    diagonal[i] = row[i];
    below[i - 1] = corner;
    double half_square = 1;  // ‖u‖² / 2
    if (rest < negligible) {
      std::fill_n(u, i, 0.0);  // tridiagonal, up to rounding: no reflection
    } else {
      const double length = feaug::detail::sqrt(corner * corner + rest);
      below[i - 1] = corner > 0 ? -length : length;
      u[i - 1] = corner - below[i - 1];
      half_square = corner * corner + rest - corner * below[i - 1];
    }
    // q = A·u, from the lower triangle alone.
    std::fill_n(q, i, 0.0);
    for (index_t j = 0; j < i; ++j) {
      double* const other = a.row(j);
      other[j] -= 2 * last_q[j] * last_u[j];
      q[j] += other[j] * u[j] + reflect_row(instructions, {.row = other,
                                                           .count = j,
                                                           .last_u = last_u,
                                                           .last_q = last_q,
                                                           .of_u = last_q[j],
                                                           .of_q = last_u[j],
                                                           .u = u,
                                                           .product = q,
                                                           .factor = u[j]});
    }
    const double along = sum_of_terms<double>(i, [q, u](index_t k) { return q[k] * u[k]; });
    const double share = along / half_square / half_square / 2;
    for_each_in_lanes(i, [=](index_t k) { q[k] = q[k] / half_square - share * u[k]; });
    std::swap(u, last_u);
    std::swap(q, last_q);
  }
  diagonal[0] = a(0, 0) - 2 * last_q[0] * last_u[0];
}

/// Overwrites the diagonal of a symmetric tridiagonal matrix with its eigenvalues, unordered, by
/// implicit QL steps with Wilkinson's shift (the same book, 8.3.3). `below` is overwritten. About
/// 30·size² FLOP.
inline void tridiagonal_eigenvalues(index_t size, double* diagonal, double* below) {
  constexpr int most_steps = 60;  // per eigenvalue; two or three are usual
  const auto is_negligible = [&](index_t k) {
    const double beside = std::fabs(diagonal[k]) + std::fabs(diagonal[k + 1]);
    return std::fabs(below[k]) <= std::numeric_limits<double>::epsilon() * beside;
  };
  for (index_t first = 0; first < size; ++first) {
    for (int step = 0; step < most_steps; ++step) {
      index_t last = first;
      while (last + 1 < size && !is_negligible(last)) ++last;
      if (last == first) break;
      const double half = (diagonal[first + 1] - diagonal[first]) / (2 * below[first]);
      const double root = feaug::detail::sqrt(half * half + 1);
      double g =
          diagonal[last] - diagonal[first] + below[first] / (half + std::copysign(root, half));
      double sine = 1;
      double cosine = 1;
      double shifted = 0;
      index_t k = last - 1;
      for (; k >= first; --k) {
        const double f = sine * below[k];
        const double b = cosine * below[k];
        const double length = feaug::detail::sqrt(f * f + g * g);
        if (k + 1 < last) below[k + 1] = length;
        if (feaug::detail::is_equal(length, 0)) {  // the matrix splits here
          diagonal[k + 1] -= shifted;
          break;
        }
        sine = f / length;
        cosine = g / length;
        g = diagonal[k + 1] - shifted;
        const double r = (diagonal[k] - g) * sine + 2 * cosine * b;
        shifted = sine * r;
        diagonal[k + 1] = g + shifted;
        g = cosine * r - b;
      }
      if (k >= first) continue;
      diagonal[first] -= shifted;
      below[first] = g;
    }
  }
}

}  // namespace detail

/// Writes the eigenvalues of a symmetric matrix, unordered. Only the lower triangle of `a` is read;
/// it is overwritten. `scratch`: 5·size numbers. The largest element should be near 1, since squares
/// must not overflow. One thread; about 4/3·size³ FLOP.
inline void symmetric_eigenvalues(instruction_set instructions, const matrix_view<double>& a,
                                  double* values, double* scratch) {
  const index_t size = a.rows();
  if (size == 0) return;
  detail::tridiagonalize(instructions, a, values, scratch, scratch + size);
  detail::tridiagonal_eigenvalues(size, values, scratch);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
