// Dot products of several queries with support rows, accumulated in double in index order, as the
// ranking requires.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>

#include "feaug/core/element.hpp"
#include "feaug/core/exact_dot.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/eight_doubles.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/transpose.hpp"
#include "feaug/cpu/core/vectors.hpp"
#include "feaug/cpu/core/widen.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// The number of queries scored at once. Each query's sum is in index order; vector instructions
/// work across the queries.
inline constexpr index_t query_lanes = 16;

/// Packs features first_feature … first_feature + features − 1 of `count` ≤ query_lanes queries,
/// starting at row `begin`: feature by feature, features × query_lanes doubles. Lanes without a
/// query are 0.
template <element T>
void pack_queries(const matrix_view<const T>& queries, index_t begin, index_t count,
                  index_t first_feature, index_t features, double* packed) {
  for (index_t lane = 0; lane < query_lanes; ++lane) {
    const T* query = lane < count ? queries.row(begin + lane) + first_feature : nullptr;
    for (index_t d = 0; d < features; ++d) {
      packed[d * query_lanes + lane] = query == nullptr ? 0.0 : static_cast<double>(load(query[d]));
    }
  }
}

namespace detail {

// Features of a row that are converted to double at a time: eight rows take 4 KiB of the stack.
inline constexpr index_t widened_features = 64;

template <element T>
void add_dots_portable(const double* packed, const T* row, index_t features, double* dots) {
  double sums[query_lanes];
  for (index_t lane = 0; lane < query_lanes; ++lane) sums[lane] = dots[lane];
  for (index_t d = 0; d < features; ++d) {
    const auto x = static_cast<double>(load(row[d]));
    const double* queries = packed + d * query_lanes;
    for (index_t lane = 0; lane < query_lanes; ++lane) {
      if constexpr (std::same_as<T, double>) {
        sums[lane] = exact_multiply_add(sums[lane], x, queries[lane]);
      } else {
        sums[lane] += x * queries[lane];  // exact products, see exact_multiply_add
      }
    }
  }
  for (index_t lane = 0; lane < query_lanes; ++lane) dots[lane] = sums[lane];
}

#if FEAUG_X86

// An fma has the bits of exact_multiply_add. Several rows at once hide its latency and share the
// loads of the queries: 8 sums are in registers with AVX2, 16 with AVX-512.
template <int Rows>
FEAUG_AVX2 inline void add_dots_avx2(const double* packed, const double* rows, index_t stride,
                                     index_t features, double* dots) {
  constexpr int vectors = query_lanes / 4;
  __m256d sums[std::size_t{Rows}][std::size_t{vectors}];
  FEAUG_UNROLL_REGISTERS
  for (int r = 0; r < Rows; ++r) {
    FEAUG_UNROLL_REGISTERS
    for (int v = 0; v < vectors; ++v) sums[r][v] = _mm256_loadu_pd(dots + r * query_lanes + 4 * v);
  }
  for (index_t d = 0; d < features; ++d) {
    __m256d queries[std::size_t{vectors}];
    FEAUG_UNROLL_REGISTERS
    for (int v = 0; v < vectors; ++v)
      queries[v] = _mm256_loadu_pd(packed + d * query_lanes + 4 * v);
    FEAUG_UNROLL_REGISTERS
    for (int r = 0; r < Rows; ++r) {
      const __m256d x = _mm256_set1_pd(rows[r * stride + d]);
      FEAUG_UNROLL_REGISTERS
      for (int v = 0; v < vectors; ++v) sums[r][v] = _mm256_fmadd_pd(x, queries[v], sums[r][v]);
    }
  }
  FEAUG_UNROLL_REGISTERS
  for (int r = 0; r < Rows; ++r) {
    FEAUG_UNROLL_REGISTERS
    for (int v = 0; v < vectors; ++v) _mm256_storeu_pd(dots + r * query_lanes + 4 * v, sums[r][v]);
  }
}

template <int Rows>
FEAUG_AVX512 inline void add_dots_avx512(const double* packed, const double* rows, index_t stride,
                                         index_t features, double* dots) {
  __m512d sums[std::size_t{Rows}][2];
  FEAUG_UNROLL_REGISTERS
  for (int r = 0; r < Rows; ++r) {
    sums[r][0] = _mm512_loadu_pd(dots + r * query_lanes);
    sums[r][1] = _mm512_loadu_pd(dots + r * query_lanes + 8);
  }
  for (index_t d = 0; d < features; ++d) {
    const __m512d first = _mm512_loadu_pd(packed + d * query_lanes);
    const __m512d last = _mm512_loadu_pd(packed + d * query_lanes + 8);
    FEAUG_UNROLL_REGISTERS
    for (int r = 0; r < Rows; ++r) {
      const __m512d x = _mm512_set1_pd(rows[r * stride + d]);
      sums[r][0] = _mm512_fmadd_pd(x, first, sums[r][0]);
      sums[r][1] = _mm512_fmadd_pd(x, last, sums[r][1]);
    }
  }
  FEAUG_UNROLL_REGISTERS
  for (int r = 0; r < Rows; ++r) {
    _mm512_storeu_pd(dots + r * query_lanes, sums[r][0]);
    _mm512_storeu_pd(dots + r * query_lanes + 8, sums[r][1]);
  }
}

FEAUG_AVX2 inline std::uint32_t lanes_not_below_avx2(const double* dots, double factor,
                                                     const double* bars) {
  using v = avx2<double>;
  std::uint32_t lanes = 0;
  for (int first = 0; first < query_lanes; first += v::lanes) {
    const v::vector scores = v::load(dots + first) * v::all(factor);
    const int found = _mm256_movemask_pd(v::not_less(scores, v::load(bars + first)));
    lanes |= static_cast<std::uint32_t>(found) << first;
  }
  return lanes;
}

FEAUG_AVX512 inline std::uint32_t lanes_not_below_avx512(const double* dots, double factor,
                                                         const double* bars) {
  using v = avx512<double>;
  std::uint32_t lanes = 0;
  for (int first = 0; first < query_lanes; first += v::lanes) {
    const v::vector scores = v::load(dots + first) * v::all(factor);
    lanes |= static_cast<std::uint32_t>(v::not_less(scores, v::load(bars + first))) << first;
  }
  return lanes;
}

inline void add_dots_in_vectors(instruction_set instructions, const double* packed,
                                const double* rows, index_t stride, index_t count, index_t features,
                                double* dots) {
  const bool is_wide = instructions >= instruction_set::avx512;
  if (is_wide && count == 8) return add_dots_avx512<8>(packed, rows, stride, features, dots);
  if (!is_wide && count == 2) return add_dots_avx2<2>(packed, rows, stride, features, dots);
  for (index_t r = 0; r < count; ++r) {
    const auto one = is_wide ? &add_dots_avx512<1> : &add_dots_avx2<1>;
    one(packed, rows + r * stride, stride, features, dots + r * query_lanes);
  }
}

// NOLINTBEGIN(bugprone-macro-parentheses): the arguments are attributes and type names
// One row in each lane, 8 or 16 rows. Products of floats are exact in double, so an fma has the same
// bits. Returns the number of features: whole vectors.
#define FEAUG_DOTS_WITH_ROWS(MARK, ISA)                                           \
  template <int Eights, element T>                                                \
  requires(!std::same_as<T, double>) MARK inline index_t dots_with_rows_##ISA(    \
      const T* const* rows, const T* query, index_t features, double* dots) {     \
    using v = ISA##_eight_doubles;                                                \
    v::vector sums[std::size_t{Eights}];                                          \
    FEAUG_UNROLL_REGISTERS                                                        \
    for (int e = 0; e < Eights; ++e) sums[e] = v::all(0);                         \
    index_t j = 0;                                                                \
    for (; j + 8 <= features; j += 8) {                                           \
      __m256 x[std::size_t{Eights}][8];                                           \
      FEAUG_UNROLL_REGISTERS                                                      \
      for (int e = 0; e < Eights; ++e) {                                          \
        FEAUG_UNROLL_REGISTERS                                                    \
        for (int r = 0; r < 8; ++r) x[e][r] = eight_floats(rows[8 * e + r] + j);  \
        transpose_eight(x[e]);                                                    \
      }                                                                           \
      FEAUG_UNROLL_REGISTERS                                                      \
      for (int k = 0; k < 8; ++k) {                                               \
        const v::vector factor = v::all(static_cast<double>(load(query[j + k]))); \
        FEAUG_UNROLL_REGISTERS                                                    \
        for (int e = 0; e < Eights; ++e)                                          \
          sums[e] = v::fused(v::from_floats(x[e][k]), factor, sums[e]);           \
      }                                                                           \
    }                                                                             \
    FEAUG_UNROLL_REGISTERS                                                        \
    for (int e = 0; e < Eights; ++e) v::store(dots + 8 * e, sums[e]);             \
    return j;                                                                     \
  }
FEAUG_DOTS_WITH_ROWS(FEAUG_AVX2, avx2)
FEAUG_DOTS_WITH_ROWS(FEAUG_AVX512, avx512)
#undef FEAUG_DOTS_WITH_ROWS
// NOLINTEND(bugprone-macro-parentheses)

#endif

}  // namespace detail

/// dots[r] = the dot product of the query with rows[r] for r < count, in double in index order: with the
/// bits of add_dots. 0 < count ≤ query_lanes; pointers and dots from count on are overwritten.
template <element T>
void dots_with_rows([[maybe_unused]] instruction_set instructions, const T* (&rows)[query_lanes],
                    index_t count, const T* query, index_t features, double* dots) {
  index_t done = 0;
  for (index_t r = count; r < query_lanes; ++r) rows[r] = rows[0];
  std::fill_n(dots, query_lanes, 0.0);
#if FEAUG_X86
  if constexpr (!std::same_as<T, double>) {
    const bool is_wide = instructions >= instruction_set::avx512;
    if (instructions != instruction_set::portable) {
      const auto one =
          is_wide ? &detail::dots_with_rows_avx512<1, T> : &detail::dots_with_rows_avx2<1, T>;
      const auto two =
          is_wide ? &detail::dots_with_rows_avx512<2, T> : &detail::dots_with_rows_avx2<2, T>;
      done = (count <= 8 ? one : two)(rows, query, features, dots);
    }
  }
#endif
  // Four sums at once hide their latency; as variables, since compilers leave an array in memory.
  for (index_t r = 0; r < count && done < features; r += 4) {
    double first = dots[r];
    double second = dots[r + 1];
    double third = dots[r + 2];
    double fourth = dots[r + 3];
    for (index_t j = done; j < features; ++j) {
      first = exact_multiply_add(first, rows[r][j], query[j]);
      second = exact_multiply_add(second, rows[r + 1][j], query[j]);
      third = exact_multiply_add(third, rows[r + 2][j], query[j]);
      fourth = exact_multiply_add(fourth, rows[r + 3][j], query[j]);
    }
    dots[r] = first;
    dots[r + 1] = second;
    dots[r + 2] = third;
    dots[r + 3] = fourth;
  }
}

/// dots[r · query_lanes + lane] += the dot products of the packed queries with row r of `count`
/// rows that are `stride` apart, in double in index order; all start at the same feature. Limited by
/// FLOP: query_lanes multiply-adds in double a feature.
template <element T>
void add_dots([[maybe_unused]] instruction_set instructions, const double* packed, const T* rows,
              index_t stride, index_t count, index_t features, double* dots) {
#if FEAUG_X86
  if (instructions != instruction_set::portable) {
    const index_t most = instructions >= instruction_set::avx512 ? 8 : 2;
    for (index_t first = 0; first < count; first += most) {
      const index_t some = std::min(most, count - first);
      const T* const from = rows + first * stride;
      double* const to = dots + first * query_lanes;
      if constexpr (std::same_as<T, double>) {
        detail::add_dots_in_vectors(instructions, packed, from, stride, some, features, to);
      } else {
        double wide[8 * detail::widened_features];
        for (index_t begin = 0; begin < features; begin += detail::widened_features) {
          const index_t chunk = std::min(detail::widened_features, features - begin);
          for (index_t r = 0; r < some; ++r)
            widen(instructions, from + r * stride + begin, chunk,
                  wide + r * detail::widened_features);
          detail::add_dots_in_vectors(instructions, packed + begin * query_lanes, wide,
                                      detail::widened_features, some, chunk, to);
        }
      }
    }
    return;
  }
#endif
  for (index_t r = 0; r < count; ++r)
    detail::add_dots_portable(packed, rows + r * stride, features, dots + r * query_lanes);
}

/// A bit for each of query_lanes lanes: whether not dots[lane] · factor < bars[lane], so also for NaN.
inline std::uint32_t lanes_not_below([[maybe_unused]] instruction_set instructions,
                                     const double* dots, double factor, const double* bars) {
#if FEAUG_X86
  if (instructions >= instruction_set::avx512)
    return detail::lanes_not_below_avx512(dots, factor, bars);
  if (instructions != instruction_set::portable)
    return detail::lanes_not_below_avx2(dots, factor, bars);
#endif
  std::uint32_t lanes = 0;
  for (int lane = 0; lane < query_lanes; ++lane) {
    // Not !(score < bar): g++ 12 vectorises it wrongly for NaN if the user's flags have -Ofast.
    const double score = dots[lane] * factor;
    const bool has_nan = feaug::detail::is_nan(score) || feaug::detail::is_nan(bars[lane]);
    if (has_nan || score >= bars[lane]) lanes |= std::uint32_t{1} << lane;
  }
  return lanes;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
