// Effective rank: the number of directions in which features vary.
#pragma once

#include "feaug/header_begin.hpp"

#include <limits>
#include <string_view>
#include <type_traits>

#include "feaug/core/any_context.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/diagnostics/diagnostic_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

/// The rounding error of a zero eigenvalue, relative to the largest eigenvalue.
inline double eigenvalue_rounding(index_t rows, index_t cols) {
  return static_cast<double>(rows > cols ? rows : cols) * std::numeric_limits<double>::epsilon();
}

/// exp of the entropy of the square roots of `eigenvalues` (ascending), normalised to sum 1.
/// Eigenvalues below `smallest` times the largest are rounding errors and count as 0.
FEAUG_HD inline double rank_of_eigenvalues(const double* eigenvalues, index_t count,
                                           double smallest) {
  const double largest = eigenvalues[count - 1];
  if (is_nan(largest)) return largest;
  if (largest <= 0) return 0;
  const auto singular_value = [&](index_t k) {
    const double relative = eigenvalues[k] / largest;
    return relative > smallest ? feaug::detail::sqrt(relative) : 0.0;
  };
  double total = 0;
  for (index_t k = 0; k < count; ++k) total += singular_value(k);
  double entropy = 0;
  for (index_t k = 0; k < count; ++k) {
    const double share = singular_value(k) / total;
    if (share > 0) entropy -= share * feaug::detail::log(share);
  }
  return feaug::detail::exp(entropy);
}

/// A context's implementation: run, called with checked arguments.
template <class Context>
struct effective_rank_on {
  static_assert(is_included<Context>,
                "include feaug/cpu/diagnostics/effective_rank.hpp or "
                "feaug/cuda/diagnostics/effective_rank.cuh");
};

}  // namespace detail

/// Writes exp(−Σ_k p_k log p_k) to one element, where p are the singular values of x normalised to
/// sum 1 (Roy and Vetterli, EUSIPCO 2007; without the 1e-7 that RankMe, arXiv 2210.02885, adds to
/// every p). The result is 1 if all rows are multiples of one row, and min(N, D) if all singular
/// values are equal. A zero matrix has 0.
///
/// x is N × D and is used as it is, neither centred nor normalised; its scale does not matter (on a
/// GPU, squares of doubles must stay within range). Singular values are square roots of the
/// eigenvalues of the smaller Gram matrix, XᵀX or XXᵀ, in double. Those below about 1e-8·√max(N, D)
/// times the largest count as 0. NaN or ∞ in x makes the result NaN. No gradient: this is a
/// diagnostic. Time grows with min(N, D)³; for more than some thousand features pass a sample of the
/// rows.
template <any_context Context, class X, class T = std::remove_const_t<X>>
requires element<T>
void effective_rank(Context& ctx, const matrix_view<X, Context::space>& x,
                    diagnostic_destination<Context> to) {
  constexpr std::string_view op = "effective_rank";
  check::batch(op, "x", x, 1);
  check::diagnostic_output(op, to);
  check::call_memory(op).writes("to", to).reads("x", x).require_apart();
  require_reachable(ctx, op, "x", x);
  require_reachable(ctx, op, "to", to);
  detail::effective_rank_on<Context>::template run<T>(ctx, x, to);
}

/// Returns the same value as a number.
template <host_context Context, class X>
requires element<std::remove_const_t<X>>
double effective_rank(Context& ctx, const matrix_view<X>& x) {
  double value = 0;
  effective_rank(ctx, x, scalar(value));
  return value;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
