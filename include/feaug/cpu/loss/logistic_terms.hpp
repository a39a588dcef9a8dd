// What a row of logits contributes to a pairwise sigmoid loss: log(1 + eˢ) and σ(s) for each logit.
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

/// The cosines x of one row of a tile; the logits are s_j = scale · x_j + biases_j. A column with
/// cosine 0 and bias −∞ contributes nothing.
template <class C>
struct logistic_row {
  C* x;
  const C* biases;
  index_t count;  ///< a multiple of 16
  C scale;
  C weight;
};

/// Sums over a row's columns.
struct logistic_sums {
  double loss = 0;             ///< Σ log(1 + exp s_j)
  double weight = 0;           ///< Σ σ(s_j)
  double weighted_cosine = 0;  ///< Σ σ(s_j) · x_j

  logistic_sums& operator+=(const logistic_sums& other) {
    loss += other.loss;
    weight += other.weight;
    weighted_cosine += other.weighted_cosine;
    return *this;
  }
};

namespace detail {

/// log(1 + e) for e in [0, 1] within 2 ulp, without branches: the series of 2·artanh(e / (2 + e)),
/// with 8 terms for float and 18 for double.
template <class C>
C log_one_plus(C e) {
  constexpr int terms = std::same_as<C, float> ? 8 : 18;
  const C z = e / (C{2} + e);
  const C square = z * z;
  C series = C{1} / C{2 * terms - 1};
  for (int k = terms - 2; k >= 0; --k) series = series * square + C{1} / static_cast<C>(2 * k + 1);
  return C{2} * z * series;
}

/// One exponential gives all terms without cancellation: σ(s) and 1 − σ(s) = σ(−s) are quotients of
/// it.
template <bool with_sums, class C>
logistic_sums logistic_terms_portable(const logistic_row<C>& row) {
  C losses[lane_count] = {};
  C weights[lane_count] = {};
  C cosines[lane_count] = {};
  for (index_t j = 0; j < row.count; j += lane_count) {
    for (index_t lane = 0; lane < lane_count; ++lane) {
      const C x = row.x[j + lane];
      const C s = row.scale * x + row.biases[j + lane];
      const C e = fast_exp(s < C{0} ? s : -s);
      const C weight = (s < C{0} ? e : C{1}) / (C{1} + e);
      row.x[j + lane] = row.weight * weight;
      if constexpr (with_sums) {
        losses[lane] += (s > C{0} ? s : C{0}) + log_one_plus(e);
        weights[lane] += weight;
        cosines[lane] += weight * x;
      }
    }
  }
  if constexpr (!with_sums) return {};
  return {.loss = sum_of(losses, lane_count),
          .weight = sum_of(weights, lane_count),
          .weighted_cosine = sum_of(cosines, lane_count)};
}

#if FEAUG_X86

// NOLINTBEGIN(bugprone-macro-parentheses, readability-magic-numbers): the arguments are marks and
// names of types; coefficients. The polynomial is log(1 + e) / e on [0, 1] within 0.7 · 2⁻²⁴.
#define FEAUG_LOGISTIC_TERMS(MARK, ISA)                                                         \
  MARK FEAUG_INLINE ISA<float>::vector log_one_plus_##ISA(ISA<float>::vector e) {               \
    using v = ISA<float>;                                                                       \
    v::vector series = v::all(-0.00324402284F);                                                 \
    series = v::fused(series, e, v::all(0.0198514555F));                                        \
    series = v::fused(series, e, v::all(-0.0569595248F));                                       \
    series = v::fused(series, e, v::all(0.106036551F));                                         \
    series = v::fused(series, e, v::all(-0.153055936F));                                        \
    series = v::fused(series, e, v::all(0.196759403F));                                         \
    series = v::fused(series, e, v::all(-0.249541342F));                                        \
    series = v::fused(series, e, v::all(0.333299637F));                                         \
    series = v::fused(series, e, v::all(-0.499999017F));                                        \
    series = v::fused(series, e, v::all(1.0F));                                                 \
    return v::multiply(series, e);                                                              \
  }                                                                                             \
  template <bool with_sums>                                                                     \
  MARK logistic_sums logistic_terms_##ISA(const logistic_row<float>& row) {                     \
    using v = ISA<float>;                                                                       \
    const v::vector one = v::all(1.0F);                                                         \
    const v::vector scale = v::all(row.scale);                                                  \
    const v::vector own = v::all(row.weight);                                                   \
    v::vector losses = v::zero();                                                               \
    v::vector weights = v::zero();                                                              \
    v::vector cosines = v::zero();                                                              \
    for (index_t j = 0; j < row.count; j += v::lanes) {                                         \
      const v::vector x = v::load(row.x + j);                                                   \
      const v::vector s = v::fused(scale, x, v::load(row.biases + j));                          \
      const v::vector e = v::exponential(v::negative_size(s));                                  \
      const v::vector weight = v::where_negative(s, e, one) / (one + e);                        \
      v::store(row.x + j, v::multiply(own, weight));                                            \
      if constexpr (with_sums) {                                                                \
        const v::vector positive = v::where_negative(s, v::zero(), s);                          \
        losses = v::add(losses, v::add(positive, log_one_plus_##ISA(e)));                       \
        weights = v::add(weights, weight);                                                      \
        cosines = v::fused(weight, x, cosines);                                                 \
      }                                                                                         \
    }                                                                                           \
    if constexpr (!with_sums) return {};                                                        \
    return {                                                                                    \
        .loss = v::sum(losses), .weight = v::sum(weights), .weighted_cosine = v::sum(cosines)}; \
  }
FEAUG_LOGISTIC_TERMS(FEAUG_AVX2, avx2)
FEAUG_LOGISTIC_TERMS(FEAUG_AVX512, avx512)
#undef FEAUG_LOGISTIC_TERMS
// NOLINTEND(bugprone-macro-parentheses, readability-magic-numbers)

#endif

}  // namespace detail

/// Replaces x_j with weight · σ(s_j). Returns the sums; they are 0 unless with_sums.
template <bool with_sums, class C>
logistic_sums logistic_terms([[maybe_unused]] instruction_set instructions,
                             const logistic_row<C>& row) {
#if FEAUG_X86
  if constexpr (std::same_as<C, float>) {
    if (instructions >= instruction_set::avx512)
      return detail::logistic_terms_avx512<with_sums>(row);
    if (instructions == instruction_set::avx2) return detail::logistic_terms_avx2<with_sums>(row);
  }
#endif
  return detail::logistic_terms_portable<with_sums>(row);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
