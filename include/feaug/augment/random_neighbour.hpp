// A random one of the nearest neighbours as the augmented feature.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/augment/neighbour.hpp"
#include "feaug/core/any_context.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/queue/similarity_range.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// out_i = the unit vector of one of the k nearest rows, all equally likely. Of m found rows (m < k
/// in a queue that is not full, or after exclusions) it is the one of rank ⌊u·m⌋, nearest first,
/// where u is the row's uniform draw. Otherwise as neighbour; k outside 1 … the queue's capacity is
/// an error.
struct random_neighbour {
  index_t k = 5;
  neighbour_gradient gradient = neighbour_gradient::none;
  neighbour_fallback fallback = neighbour_fallback::error;
  similarity_range similarity = {};
};

template <>
struct neighbour_rule<random_neighbour> {
  static constexpr std::string_view name = "random_neighbour";
  static constexpr int streams = 1;
  static constexpr bool mixes_rows = false;
  static constexpr bool draws_choice = true;
  static void validate(std::string_view /*op*/, const random_neighbour& /*how*/) {}
  static detail::neighbour_plan plan(const random_neighbour& how) {
    return {.k = how.k,
            .similarity = how.similarity,
            .one_by_draw = true,
            .gradient = how.gradient,
            .fallback = how.fallback};
  }
};

/// The policy with a given choice instead of a draw: N numbers, at least 0 and below 1.
template <element T, memory_space S, class How>
requires(neighbour_rule<How>::draws_choice) neighbour_policy<T, S, How> with_choice(
    const neighbour_policy<T, S, How>& policy, const vector_view<const float, S>& choice) {
  neighbour_policy<T, S, How> chosen = policy;
  chosen.choice = choice;
  return chosen;
}

namespace detail {

/// The uniform number that chooses a row's neighbour.
struct drawn_choice {
  [[nodiscard]] FEAUG_HD float of_row(const random_key& key, index_t row) const {
    return draw_uniform(key, row, 0);
  }
};

}  // namespace detail

/// Writes the numbers that random_neighbour draws from the key, one a row; with_choice(…, choice)
/// then gives the same neighbours.
template <any_context Context>
void draw(Context& ctx, const random_neighbour& /*policy*/, const random_key& key,
          vector_view<float, Context::space> choice) {
  constexpr std::string_view op = "draw";
  check::writable(op, "choice", choice);
  check::usable(op, key, choice.size(), 1, neighbour_rule<random_neighbour>::streams,
                Context::space);
  if (choice.empty()) return;
  require_reachable(ctx, op, "choice", choice);
  typename Context::operation call(ctx, op);
  choose_parts(call, detail::drawn_choice{}, key, {}, choice.size(), choice);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
