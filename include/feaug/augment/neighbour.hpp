// The nearest neighbour in a support queue as the augmented feature, and the parts shared by all
// neighbour policies.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>
#include <optional>
#include <string_view>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/neighbour_plan.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/queue/similarity_range.hpp"
#include "feaug/queue/support_queue.hpp"
#include "feaug/queue/support_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// out_i = the unit vector of the nearest filled row of a queue by cosine; see nearest for the
/// exact definition. A query with NaN or ∞ becomes a row of NaN. neighbour_from binds it to a
/// queue.
struct neighbour {
  neighbour_gradient gradient = neighbour_gradient::none;
  neighbour_fallback fallback = neighbour_fallback::error;
  similarity_range similarity = {};  ///< rows outside are skipped
};

/// How a policy computes a row from its neighbours. Each policy specialises it; members:
///   static constexpr std::string_view name;   // starts every error message
///   static constexpr int streams;
///   static constexpr bool mixes_rows;         // each row depends on all queries
///   static constexpr bool draws_choice;       // draws one of several neighbours
///   static void validate(std::string_view op, const How&);   // throws for bad options
///   static detail::neighbour_plan plan(const How&);
template <class How>
struct neighbour_rule;

/// A type with a neighbour_rule, as mutual_neighbour_of and pseudo_neighbour_of take.
template <class How>
concept neighbour_kind = requires(const How& how) {
  neighbour_rule<How>::plan(how);
};

template <>
struct neighbour_rule<neighbour> {
  static constexpr std::string_view name = "neighbour";
  static constexpr int streams = 0;
  static constexpr bool mixes_rows = false;
  static constexpr bool draws_choice = false;
  static void validate(std::string_view /*op*/, const neighbour& /*how*/) {}
  static detail::neighbour_plan plan(const neighbour& how) {
    return {.similarity = how.similarity, .gradient = how.gradient, .fallback = how.fallback};
  }
};

/// Optional inputs and outputs of a bound neighbour policy.
template <memory_space Space>
struct basic_neighbour_binding {
  /// N ids: rows of the queue with the query's id are skipped.
  vector_view<const std::int64_t, Space> exclude_ids = {};
  /// N: receives the slot of each row's (nearest) neighbour, −1 for none.
  vector_view<index_t, Space> indices = {};
  /// N × k: receives all slots used for a row, nearest first, then −1.
  matrix_view<index_t, Space> rows_used = {};
};
using neighbour_binding = basic_neighbour_binding<memory_space::host>;

template <element T, memory_space Space = memory_space::host, class How = neighbour>
struct neighbour_policy {
  support_queue<T, Space> queue;
  How how;
  basic_neighbour_binding<Space> binding;
  std::optional<vector_view<const float, Space>> choice = {};  ///< see with_choice
  std::optional<matrix_view<const T, Space>> epsilon = {};     ///< see with_noise
};

/// The augmentation that searches neighbours in `queue`. `how` is a neighbour, mean_neighbour,
/// trimmed_mean_neighbour, median_neighbour, random_neighbour, mutual_neighbour or
/// pseudo_neighbour.
template <element T, memory_space S, class How = neighbour>
neighbour_policy<T, S, How> neighbour_from(const support_queue<T, S>& queue, const How& how = {},
                                           const basic_neighbour_binding<S>& binding = {}) {
  return {.queue = queue, .how = how, .binding = binding};
}

namespace detail {

/// Argument checks shared by all neighbour policies. `Rule` is the neighbour_rule.
template <class Rule, class Policy, memory_space S>
struct neighbour_checks : augmentation_defaults {
  static constexpr bool mixes_rows = Rule::mixes_rows;
  static constexpr bool on_host = S == memory_space::host;

  static void validate_neighbours(std::string_view op, const Policy& policy,
                                  const neighbour_plan& plan, index_t rows, index_t cols) {
    check::valid(op, policy.queue);
    check::has_columns(op, "queue.storage", policy.queue.storage, cols, "x");
    check::within(op, "k", plan.k, 1, policy.queue.capacity());
    check::valid(op, plan.similarity);
    if constexpr (on_host) {
      if (*policy.queue.size == 0 && plan.fallback == neighbour_fallback::error && rows > 0) {
        check::fail(op, "queue", "no filled rows", "at least one, or neighbour_fallback::query");
      }
    }
    check::exclusion(op, support_rows(policy.queue), policy.binding.exclude_ids, rows, "one a row");
    check::writable(op, "indices", policy.binding.indices);
    if (!policy.binding.indices.empty())
      check::has_size(op, "indices", policy.binding.indices, rows, "one a row");
    check::writable(op, "rows_used", policy.binding.rows_used);
    if (!policy.binding.rows_used.empty())
      check::has_shape(op, "rows_used", policy.binding.rows_used, rows, plan.k,
                       "the rows and k ask for");
    if (!policy.choice.has_value()) return;
    check::readable(op, "choice", *policy.choice);
    check::has_size(op, "choice", *policy.choice, rows, "one a row");
    for (index_t i = 0; on_host && i < rows; ++i) {
      const float u = (*policy.choice)[i];
      if (u >= 0.0F && u < 1.0F) continue;
      check::fail(op, "choice", check::text(u) + " in row " + check::text(i),
                  "a number from 0 to below 1");
    }
  }

  static void add_memory(const Policy& policy, check::call_memory& memory) {
    memory.writes("indices", policy.binding.indices);
    memory.writes("rows_used", policy.binding.rows_used);
    memory.reads("exclude_ids", policy.binding.exclude_ids);
    if (policy.choice.has_value()) memory.reads("choice", *policy.choice);
    if (policy.epsilon.has_value()) memory.reads("epsilon", *policy.epsilon);
    check::add_queue(memory, policy.queue, false);
  }
};

}  // namespace detail

template <element U, memory_space S, neighbour_kind How>
struct augmentation_traits<neighbour_policy<U, S, How>>
    : detail::neighbour_checks<neighbour_rule<How>, neighbour_policy<U, S, How>, S> {
  using policy_type = neighbour_policy<U, S, How>;
  using rule = neighbour_rule<How>;
  static constexpr std::string_view name = rule::name;
  static constexpr int streams = rule::streams;

  static void validate(const policy_type& policy, index_t rows, index_t cols) {
    rule::validate(name, policy.how);
    augmentation_traits::validate_neighbours(name, policy, rule::plan(policy.how), rows, cols);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
