// The mean of the nearest neighbours as the augmented feature, and two means that are robust
// against few outliers.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/augment/neighbour.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/queue/similarity_range.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// out_i = unit(mean of the unit vectors of the k nearest rows), or of as many as are found (in a
/// queue that is not full, or after exclusions). Gradients and errors as for neighbour; also an
/// error: k outside 1 … the queue's capacity. Scratch: see for_each_neighbour.
struct mean_neighbour {
  index_t k = 5;
  neighbour_gradient gradient = neighbour_gradient::none;
  neighbour_fallback fallback = neighbour_fallback::error;
  similarity_range similarity = {};
};

/// Like mean_neighbour, but for each coordinate the `trim` smallest and the `trim` largest of the k
/// values are left out (with m < k found rows, at most ⌊(m − 1)/2⌋ at each end). Up to `trim`
/// outliers among the k rows cannot move a coordinate outside the range of the other values. Costs
/// k² comparisons for each coordinate. Error: trim outside 0 … ⌊(k − 1)/2⌋. (The trimmed mean of
/// Yin et al., ICML 2018.)
struct trimmed_mean_neighbour {
  index_t k = 5;
  index_t trim = 1;
  neighbour_gradient gradient = neighbour_gradient::none;
  neighbour_fallback fallback = neighbour_fallback::error;
  similarity_range similarity = {};
};

/// Like mean_neighbour, with the median of each coordinate; for an even number of values the mean
/// of the middle two.
struct median_neighbour {
  index_t k = 5;
  neighbour_gradient gradient = neighbour_gradient::none;
  neighbour_fallback fallback = neighbour_fallback::error;
  similarity_range similarity = {};
};

namespace detail {

template <class How>
struct mean_rule {
  static constexpr int streams = 0;
  static constexpr bool mixes_rows = false;
  static constexpr bool draws_choice = false;
  static void validate(std::string_view /*op*/, const How& /*how*/) {}

 protected:
  static neighbour_plan plan_with(const How& how, index_t trim) {
    return {.k = how.k,
            .similarity = how.similarity,
            .trim = trim,
            .gradient = how.gradient,
            .fallback = how.fallback};
  }
};

}  // namespace detail

template <>
struct neighbour_rule<mean_neighbour> : detail::mean_rule<mean_neighbour> {
  static constexpr std::string_view name = "mean_neighbour";
  static detail::neighbour_plan plan(const mean_neighbour& how) { return plan_with(how, 0); }
};

template <>
struct neighbour_rule<trimmed_mean_neighbour> : detail::mean_rule<trimmed_mean_neighbour> {
  static constexpr std::string_view name = "trimmed_mean_neighbour";
  static void validate(std::string_view op, const trimmed_mean_neighbour& how) {
    if (how.k < 1) return;  // the check of k reports this
    check::within(op, "trim", how.trim, 0, (how.k - 1) / 2);
  }
  static detail::neighbour_plan plan(const trimmed_mean_neighbour& how) {
    return plan_with(how, how.trim);
  }
};

template <>
struct neighbour_rule<median_neighbour> : detail::mean_rule<median_neighbour> {
  static constexpr std::string_view name = "median_neighbour";
  static detail::neighbour_plan plan(const median_neighbour& how) { return plan_with(how, how.k); }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
