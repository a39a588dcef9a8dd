// Exponentials of one row of logits, one per logit. Rows are padded to a multiple of 16 with −∞,
// which has weight 0.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/exponential.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/lanes.hpp"
#include "feaug/cpu/core/vectors.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Whether one shift fits all cosines: exp(scale · cosine − shift), its sums and its products in
/// gradients stay within C's normal range. No softmax then needs its own largest logit.
template <class C>
bool can_fix_shift(double scale) {
  return scale <= (std::same_as<C, float> ? 55.0 : 600.0);
}

/// The common shift. It is `scale` while the smallest exponential, e^(−2·scale), is a normal
/// number, and so are its pieces (bfloat16_product.hpp) times a feature. For larger scales −scale − shift
/// stays at the lowest exponent, and the largest exponential grows up to e⁵⁰ (double: e⁵⁰⁰).
template <class C>
C fixed_max(double scale) {
  const double lowest = std::same_as<C, float> ? 60.0 : 700.0;
  return static_cast<C>(scale < lowest - scale ? scale : lowest - scale);
}

/// The cosines x of one row of a tile; the logits are scale · x − shift.
template <class C>
struct logit_row {
  C* x;
  index_t count;
  C scale;
  C shift;
};

namespace detail {

template <class C>
double exponentials_portable(const logit_row<C>& row) {
  exponentials(row.x, row.count, row.scale, row.shift);
  return sum_of(row.x, row.count);
}

template <class C>
double add_exponentials_portable(const logit_row<C>& row, C* sums) {
  const double sum = exponentials_portable(row);
  for_each_in_lanes(row.count, [x = row.x, sums](index_t j) { sums[j] += x[j]; });
  return sum;
}

template <class C>
void weigh_portable(const logit_row<C>& row, C own, const C* others) {
  exponentials(row.x, row.count, row.scale, row.shift);
  for_each_in_lanes(row.count, [x = row.x, own, others](index_t j) { x[j] *= own + others[j]; });
}

/// The columns' shifts and factors.
template <class C>
struct shifted_columns {
  const C* shift;
  const C* factor;
};

template <class C>
void weigh_shifted_portable(const logit_row<C>& row, C own, const shifted_columns<C>& others) {
  for_each_in_lanes(row.count, [=](index_t j) {
    const C logit = row.scale * row.x[j];
    row.x[j] =
        own * fast_exp(logit - row.shift) + others.factor[j] * fast_exp(logit - others.shift[j]);
  });
}

#if FEAUG_X86

// NOLINTBEGIN(bugprone-macro-parentheses): the arguments are marks and names of types
#define FEAUG_LOGIT_WEIGHTS(MARK, ISA)                                                        \
  MARK inline double exponentials_##ISA(const logit_row<float>& row) {                        \
    using v = ISA<float>;                                                                     \
    const v::vector scale = v::all(row.scale);                                                \
    const v::vector shift = v::all(-row.shift);                                               \
    v::vector sums = v::zero();                                                               \
    for (index_t j = 0; j < row.count; j += v::lanes) {                                       \
      const v::vector e = v::exponential(v::fused(scale, v::load(row.x + j), shift));         \
      v::store(row.x + j, e);                                                                 \
      sums = v::add(sums, e);                                                                 \
    }                                                                                         \
    return v::sum(sums);                                                                      \
  }                                                                                           \
  MARK inline double add_exponentials_##ISA(const logit_row<float>& row, float* of_columns) { \
    using v = ISA<float>;                                                                     \
    const v::vector scale = v::all(row.scale);                                                \
    const v::vector shift = v::all(-row.shift);                                               \
    v::vector sums = v::zero();                                                               \
    for (index_t j = 0; j < row.count; j += v::lanes) {                                       \
      const v::vector e = v::exponential(v::fused(scale, v::load(row.x + j), shift));         \
      v::store(row.x + j, e);                                                                 \
      v::store(of_columns + j, v::add(v::load(of_columns + j), e));                           \
      sums = v::add(sums, e);                                                                 \
    }                                                                                         \
    return v::sum(sums);                                                                      \
  }                                                                                           \
  MARK inline void weigh_##ISA(const logit_row<float>& row, float own, const float* others) { \
    using v = ISA<float>;                                                                     \
    const v::vector scale = v::all(row.scale);                                                \
    const v::vector shift = v::all(-row.shift);                                               \
    const v::vector mine = v::all(own);                                                       \
    for (index_t j = 0; j < row.count; j += v::lanes) {                                       \
      const v::vector e = v::exponential(v::fused(scale, v::load(row.x + j), shift));         \
      v::store(row.x + j, v::multiply(e, v::add(mine, v::load(others + j))));                 \
    }                                                                                         \
  }                                                                                           \
  MARK inline void weigh_shifted_##ISA(const logit_row<float>& row, float own,                \
                                       const shifted_columns<float>& others) {                \
    using v = ISA<float>;                                                                     \
    const v::vector scale = v::all(row.scale);                                                \
    const v::vector shift = v::all(row.shift);                                                \
    const v::vector mine = v::all(own);                                                       \
    for (index_t j = 0; j < row.count; j += v::lanes) {                                       \
      const v::vector logit = v::multiply(scale, v::load(row.x + j));                         \
      const v::vector of_row = v::multiply(mine, v::exponential(logit - shift));              \
      const v::vector of_column = v::exponential(logit - v::load(others.shift + j));          \
      v::store(row.x + j, v::fused(v::load(others.factor + j), of_column, of_row));           \
    }                                                                                         \
  }                                                                                           \
  MARK inline void weigh_kept_##ISA(const float* from, index_t count, float own,              \
                                    const float* others, float* to) {                         \
    using v = ISA<float>;                                                                     \
    const v::vector mine = v::all(own);                                                       \
    for (index_t j = 0; j < count; j += v::lanes)                                             \
      v::store(to + j, v::multiply(v::load(from + j), v::add(mine, v::load(others + j))));    \
  }
FEAUG_LOGIT_WEIGHTS(FEAUG_AVX2, avx2)
FEAUG_LOGIT_WEIGHTS(FEAUG_AVX512, avx512)
#undef FEAUG_LOGIT_WEIGHTS
// NOLINTEND(bugprone-macro-parentheses)

#endif

}  // namespace detail

/// Replaces x with exp(logits) and returns the sum.
template <class C>
double exponentials_of([[maybe_unused]] instruction_set instructions, const logit_row<C>& row) {
#if FEAUG_X86
  if constexpr (std::same_as<C, float>) {
    if (instructions >= instruction_set::avx512) return detail::exponentials_avx512(row);
    if (instructions == instruction_set::avx2) return detail::exponentials_avx2(row);
  }
#endif
  return detail::exponentials_portable(row);
}

/// Replaces x with exp(logits) and adds it to sums. Returns the row's sum.
template <class C>
double add_exponentials([[maybe_unused]] instruction_set instructions, const logit_row<C>& row,
                        C* sums) {
#if FEAUG_X86
  if constexpr (std::same_as<C, float>) {
    if (instructions >= instruction_set::avx512) return detail::add_exponentials_avx512(row, sums);
    if (instructions == instruction_set::avx2) return detail::add_exponentials_avx2(row, sums);
  }
#endif
  return detail::add_exponentials_portable(row, sums);
}

/// x_j = exp(logit_j) · (own + others_j)
template <class C>
void weigh([[maybe_unused]] instruction_set instructions, const logit_row<C>& row, C own,
           const C* others) {
#if FEAUG_X86
  if constexpr (std::same_as<C, float>) {
    if (instructions >= instruction_set::avx512) return detail::weigh_avx512(row, own, others);
    if (instructions == instruction_set::avx2) return detail::weigh_avx2(row, own, others);
  }
#endif
  detail::weigh_portable(row, own, others);
}

/// x_j = own · exp(logit_j) + factor_j · exp(scale · x_j − shift_j), if columns have shifts of their
/// own.
template <class C>
void weigh_shifted([[maybe_unused]] instruction_set instructions, const logit_row<C>& row, C own,
                   const detail::shifted_columns<C>& others) {
#if FEAUG_X86
  if constexpr (std::same_as<C, float>) {
    if (instructions >= instruction_set::avx512)
      return detail::weigh_shifted_avx512(row, own, others);
    if (instructions == instruction_set::avx2) return detail::weigh_shifted_avx2(row, own, others);
  }
#endif
  detail::weigh_shifted_portable(row, own, others);
}

/// to_j = from_j · (own + others_j), of exponentials that were kept; count is a multiple of 16.
template <class C>
void weigh_kept([[maybe_unused]] instruction_set instructions, const C* from, index_t count, C own,
                const C* others, C* to) {
#if FEAUG_X86
  if constexpr (std::same_as<C, float>) {
    if (instructions >= instruction_set::avx512)
      return detail::weigh_kept_avx512(from, count, own, others, to);
    if (instructions == instruction_set::avx2)
      return detail::weigh_kept_avx2(from, count, own, others, to);
  }
#endif
  for_each_in_lanes(count, [=](index_t j) { to[j] = from[j] * (own + others[j]); });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
