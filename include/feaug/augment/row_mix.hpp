// Mixes of a row x with a partner row p whose coefficients depend on sums over the rows (slerp,
// exchange_moments).
//
// The output and the gradients are computed in three steps: sums over the columns, coefficients
// computed from these sums, and a linear combination of x, p and, for gradients, the gradient g
// with respect to the output. A mix type provides only the normalisation and the formulas of the
// coefficients; the common code is here, for host and device. Sums and coefficients are doubles.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>
#include <concepts>
#include <cstddef>
#include <string_view>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/mix.hpp"
#include "feaug/core/any_context.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// How a mix normalises a row: an element v becomes (v − centre)·factor.
struct row_measure {
  double centre;
  double factor;
  /// Multiplies the gradient with respect to the normalised row: `factor`, or 0 if the row has no
  /// direction (its norm is at most eps).
  double slope;

  [[nodiscard]] FEAUG_HD double operator()(double v) const { return (v - centre) * factor; }
};

/// A row x and its partner p, both normalised by the mix.
struct row_pair {
  row_measure x;
  row_measure partner;
  double difference;  ///< Σ (x − p)², if Mix::compares_rows
  double sum;         ///< Σ (x + p)², if Mix::compares_rows
  index_t cols;
};

/// Sums with the gradient g with respect to the output.
struct gradient_sums {
  double g;
  double g_x;  ///< Σ g·x, x normalised
  double g_partner;
};

/// The combination gradient·g + x·(row x) + partner·(row p) + one, with normalised rows.
struct row_combination {
  double gradient;
  double x;
  double partner;
  double one;

  /// For the output: there is no g.
  [[nodiscard]] FEAUG_HD double operator()(double v, double p) const {
    return x * v + partner * p + one;
  }
  [[nodiscard]] FEAUG_HD double operator()(double g, double v, double p) const {
    return gradient * g + (x * v + partner * p + one);
  }
};

/// The gradients with respect to x and to its partner.
struct row_gradients {
  row_combination x;
  row_combination partner;
};

/// A mix given by such a formula. `static constexpr bool centred`: rows are centred about their
/// means; `compares_rows`: row_pair's difference and sum are needed; measure(length, centre, cols)
/// gives the normalisation of a row of length ‖row − centre‖ (NaN if the length is not finite).
template <class Mix>
concept row_mix = requires(const Mix& mix, const row_pair& pair, const gradient_sums& sums,
                           double number, index_t cols) {
  { Mix::name } -> std::convertible_to<std::string_view>;
  { Mix::centred } -> std::convertible_to<bool>;
  { Mix::compares_rows } -> std::convertible_to<bool>;
  { mix.measure(number, number, cols) } -> std::same_as<row_measure>;
  { mix.output(pair, number) } -> std::same_as<row_combination>;
  { mix.gradients(pair, sums, number) } -> std::same_as<row_gradients>;
};

/// The linear combination for a row of the output, or of the gradients, once its sums are known.
struct output_plan {
  row_measure x;
  row_measure partner;
  row_combination out;

  [[nodiscard]] FEAUG_HD double operator()(double v, double p) const {
    return out(x(v), partner(p));
  }
};
struct gradient_plan {
  row_measure x;
  row_measure partner;
  row_gradients by;

  [[nodiscard]] FEAUG_HD double by_x(double g, double v, double p) const {
    return by.x(g, x(v), partner(p));
  }
  [[nodiscard]] FEAUG_HD double by_partner(double g, double v, double p) const {
    return by.partner(g, x(v), partner(p));
  }
};

namespace detail {

template <int Count>
struct sum_array {
  double value[std::size_t{Count}];
};

// `reduce` reduces over the columns of a row, with one thread or with a warp:
//   reduce.template sums<Count>(cols, term)   Σ term(j), which is a sum_array<Count>
//   reduce.largest(cols, term)                the largest term(j) ≥ 0, ignoring NaN
// The pragmas suppress nvcc's warning that a warp's reduction is a device function.

/// The normalisation of `row`.
#if defined(__CUDACC__)
#pragma nv_exec_check_disable
#endif
template <class Reduce, class Mix, element T>
FEAUG_HD row_measure measure_row(const Reduce& reduce, const Mix& mix, const T* row, index_t cols) {
  double centre = 0;
  if constexpr (Mix::centred) {
    // Relative to the first element, so that the deviations of a constant row are exactly 0.
    const auto first = static_cast<double>(load(row[0]));
    const auto total = reduce.template sums<1>(
        cols, [&](index_t j) { return sum_array<1>{{static_cast<double>(load(row[j])) - first}}; });
    centre = first + total.value[0] / static_cast<double>(cols);
  }
  const auto squares = reduce.template sums<1>(cols, [&](index_t j) {
    const double deviation = static_cast<double>(load(row[j])) - centre;
    return sum_array<1>{{deviation * deviation}};
  });
  double length = feaug::detail::sqrt(squares.value[0]);
  if (!is_finite(length)) {  // an element above 1e154, or one that is not finite, which gives NaN
    const double largest = reduce.largest(
        cols, [&](index_t j) { return std::fabs(static_cast<double>(load(row[j])) - centre); });
    const auto scaled = reduce.template sums<1>(cols, [&](index_t j) {
      const double deviation = (static_cast<double>(load(row[j])) - centre) / largest;
      return sum_array<1>{{deviation * deviation}};
    });
    length = largest * feaug::detail::sqrt(scaled.value[0]);
  }
  return mix.measure(length, centre, cols);
}

#if defined(__CUDACC__)
#pragma nv_exec_check_disable
#endif
template <class Reduce, class Mix, element T>
FEAUG_HD row_pair measure_pair(const Reduce& reduce, const Mix& mix, const T* x, const T* partner,
                               index_t cols) {
  row_pair pair = {measure_row(reduce, mix, x, cols), measure_row(reduce, mix, partner, cols), 0, 0,
                   cols};
  if constexpr (Mix::compares_rows) {
    const auto squares = reduce.template sums<2>(cols, [&](index_t j) {
      const double v = pair.x(static_cast<double>(load(x[j])));
      const double p = pair.partner(static_cast<double>(load(partner[j])));
      return sum_array<2>{{(v - p) * (v - p), (v + p) * (v + p)}};
    });
    pair.difference = squares.value[0];
    pair.sum = squares.value[1];
  }
  return pair;
}

#if defined(__CUDACC__)
#pragma nv_exec_check_disable
#endif
template <class Reduce, class Mix, element T>
FEAUG_HD output_plan plan_output(const Reduce& reduce, const Mix& mix, const T* x, const T* partner,
                                 index_t cols, double weight) {
  const row_pair pair = measure_pair(reduce, mix, x, partner, cols);
  return {pair.x, pair.partner, mix.output(pair, weight)};
}

#if defined(__CUDACC__)
#pragma nv_exec_check_disable
#endif
template <class Reduce, class Mix, element T>
FEAUG_HD gradient_plan plan_gradients(const Reduce& reduce, const Mix& mix, const T* x,
                                      const T* partner, const T* grad_out, index_t cols,
                                      double weight) {
  const row_pair pair = measure_pair(reduce, mix, x, partner, cols);
  const auto sums = reduce.template sums<3>(cols, [&](index_t j) {
    const auto g = static_cast<double>(load(grad_out[j]));
    return sum_array<3>{{g, g * pair.x(static_cast<double>(load(x[j]))),
                         g * pair.partner(static_cast<double>(load(partner[j])))}};
  });
  return {pair.x, pair.partner,
          mix.gradients(pair, {sums.value[0], sums.value[1], sums.value[2]}, weight)};
}

/// The key from which a mix with a partner from the batch draws the permutation: the stream after
/// that of the weights, if weights are drawn.
template <row_mix Mix>
random_key permutation_key(const random_key& key) {
  return weighted_mix<Mix> ? key.streams_later(1) : key;
}

}  // namespace detail

/// The partner is a permutation of the batch. Streams: one for the weights if there are any, one
/// for the permutation.
template <row_mix Mix>
struct augmentation_traits<Mix> : augmentation_defaults {
  static constexpr std::string_view name = Mix::name;
  static constexpr int streams = weighted_mix<Mix> ? 2 : 1;
  static constexpr bool mixes_rows = true;
  static constexpr bool backward_reads_value = true;

  static void validate(const Mix& mix, index_t /*rows*/, index_t /*cols*/) {
    if constexpr (weighted_mix<Mix>) detail::check_mix(name, mix);
    if constexpr (requires { mix.validate(); }) mix.validate();
  }
};

/// The partner is given by the caller. Streams: one for the weights if there are any.
template <row_mix Mix, element U, memory_space S>
struct augmentation_traits<partnered<Mix, U, S>> : detail::partnered_mix_traits<Mix, U, S> {
  static constexpr bool backward_reads_value = true;
};

/// Writes the partners that a mix without weights draws from the key for a batch of N rows: row i
/// is mixed with row permutation[i]. with_partner with the permuted rows gives the same result as
/// the mix. On a GPU the permutation must be contiguous.
template <any_context Context, row_mix Mix>
requires(!weighted_mix<Mix>) void draw(Context& ctx, const Mix& mix, const random_key& key,
                                       vector_view<index_t, Context::space> permutation) {
  constexpr std::string_view op = "draw";
  check::writable(op, "permutation", permutation);
  detail::check_draw<Context>(mix, key, permutation.size(), 1);
  if (permutation.empty()) return;
  detail::require_permutation_reachable(ctx, op, permutation);
  detail::mix_on<Context>::draw_partners(ctx, detail::permutation_key<Mix>(key), permutation);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
