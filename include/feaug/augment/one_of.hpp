// One of several augmentations for every row, chosen at random.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <tuple>
#include <type_traits>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/parts.hpp"
#include "feaug/core/any_context.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <augmentation... Ps>
struct one_of_policy {
  std::array<float, sizeof...(Ps)> probabilities;
  std::tuple<Ps...> parts;
};

/// The augmentation that draws one of its parts for every row: `one_of({0.7F, 0.3F}, mask{},
/// gaussian_noise{})`. The probabilities are at least 0 and sum to 1. A part processes only its own
/// rows; a part that mixes rows still reads all rows.
template <augmentation... Ps>
one_of_policy<Ps...> one_of(const std::array<float, sizeof...(Ps)>& probabilities,
                            const Ps&... parts) {
  return {.probabilities = probabilities, .parts = {parts...}};
}

/// one_of with a given choice.
template <memory_space Space, augmentation... Ps>
struct one_of_from_policy {
  vector_view<const index_t, Space> choice;  ///< N: the index of each row's part, from 0
  std::tuple<Ps...> parts;
};

/// The same with a given choice: row i is processed by part choice[i]. Stream 0 is not used, so the
/// parts draw the same numbers as in `one_of`. On a GPU the range of the choice is not checked: a
/// row with an index out of range is left unchanged.
template <class Index, memory_space S, augmentation... Ps>
requires std::same_as<std::remove_const_t<Index>, index_t> one_of_from_policy<S, Ps...> one_of_from(
    const vector_view<Index, S>& choice, const Ps&... parts) {
  return {.choice = choice, .parts = {parts...}};
}

namespace detail {

/// The random part of a row.
template <std::size_t Count>
struct part_probabilities {
  float probability[Count];

  [[nodiscard]] FEAUG_HD std::int32_t of_row(const random_key& key, index_t row) const {
    const float drawn = draw_uniform(key, row, 0);
    std::int32_t last = 0;
    float reached = 0;
    for (std::size_t part = 0; part < Count; ++part) {
      if (feaug::detail::is_equal(probability[part], 0.0F)) continue;
      last = static_cast<std::int32_t>(part);
      reached += probability[part];
      if (drawn < reached) break;
    }
    return last;  // rounding may leave the sum slightly below 1
  }
};

template <augmentation... Ps>
part_probabilities<sizeof...(Ps)> parts_of_rows(const one_of_policy<Ps...>& policy) {
  part_probabilities<sizeof...(Ps)> parts{};
  std::copy(policy.probabilities.begin(), policy.probabilities.end(), parts.probability);
  return parts;
}

/// The given part of a row.
template <memory_space Space>
struct given_parts {
  vector_view<const index_t, Space> choice;

  [[nodiscard]] FEAUG_HD std::int32_t of_row(const random_key& /*key*/, index_t row) const {
    return static_cast<std::int32_t>(choice[row]);
  }
};

template <memory_space S, augmentation... Ps>
given_parts<S> parts_of_rows(const one_of_from_policy<S, Ps...>& policy) {
  return {.choice = policy.choice};
}

inline void check_probabilities(std::string_view op, std::span<const float> probabilities) {
  double sum = 0;
  for (const float probability : probabilities) {
    check::within(op, "probabilities", static_cast<double>(probability), 0.0, 1.0);
    sum += static_cast<double>(probability);
  }
  if (std::abs(sum - 1.0) > 1e-6)
    check::fail(op, "probabilities", "a sum of " + check::text(sum), "a sum of 1");
}

/// Checks a choice: one index for every row, below `count`.
template <memory_space S>
void check_choice(std::string_view op, const vector_view<const index_t, S>& choice, index_t rows,
                  index_t count) {
  check::readable(op, "choice", choice);
  check::has_size(op, "choice", choice, rows, "one a row");
  for (index_t i = 0; S == memory_space::host && i < rows; ++i) {
    if (choice[i] >= 0 && choice[i] < count) continue;
    check::fail(op, "choice", check::text(choice[i]) + " in row " + check::text(i),
                "the number of a part, 0 to " + check::text(count - 1));
  }
}

/// The implementation shared by one_of and one_of_from.
template <class Policy, augmentation... Ps>
struct one_of_traits : parts_traits<Ps...> {
  using policy_type = Policy;
  static constexpr int streams = 1 + (augmentation_traits<Ps>::streams + ...);
  using parts_traits<Ps...>::mixes_rows;

  template <any_context Context, element T>
  static void forward(Context& ctx, const policy_type& policy,
                      matrix_view<const T, Context::space> x, const random_key& key,
                      const row_selection& selection, matrix_view<T, Context::space> out) {
    typename Context::operation call(ctx, augmentation_traits<policy_type>::name);
    const std::int32_t* choice = choose(ctx, call, policy, key, selection, x.rows());
    for_each_part(policy, [&](const auto& part, std::int32_t number, int first_stream) {
      using part_type = std::remove_cvref_t<decltype(part)>;
      require_carried_out<Context, part_type, T>();
      augmentation_on<Context, part_type>::forward(ctx, part, x, key.streams_later(first_stream),
                                                   {.choice = choice, .part = number}, out);
    });
  }

  template <any_context Context, element T>
  static void backward(Context& ctx, const policy_type& policy,
                       const operand<T, 2, Context::space>& x, const random_key& key,
                       const row_selection& selection,
                       matrix_view<const T, Context::space> grad_out) {
    typename Context::operation call(ctx, augmentation_traits<policy_type>::name);
    const std::int32_t* choice = choose(ctx, call, policy, key, selection, x.value.rows());
    operand<T, 2, Context::space> input = x;
    if constexpr (mixes_rows) {
      // Several parts contribute to a row: start from zero and accumulate.
      if (x.mode == gradient_mode::overwrite) {
        put_zero_gradient(call, x, {}, true);
        input.mode = gradient_mode::accumulate;
      }
    }
    for_each_part(policy, [&](const auto& part, std::int32_t number, int first_stream) {
      using on_context = augmentation_on<Context, std::remove_cvref_t<decltype(part)>>;
      on_context::backward(ctx, part, input, key.streams_later(first_stream),
                           {.choice = choice, .part = number}, grad_out);
    });
  }

 private:
  /// The part of every row; −1 for rows that are not selected.
  template <class Context, class Operation>
  static const std::int32_t* choose(Context& ctx, Operation& call, const policy_type& policy,
                                    const random_key& key, const row_selection& selection,
                                    index_t rows) {
    if constexpr (requires { policy.choice; }) {
      require_reachable(ctx, augmentation_traits<policy_type>::name, "choice", policy.choice);
    }
    auto* choice = call.template take<std::int32_t>(rows);
    choose_parts(call, parts_of_rows(policy), key, selection, rows, choice);
    return choice;
  }

  /// Calls visit(part, its index, its first stream) for each part; stream 0 is used for the choice.
  template <class Visit>
  static void for_each_part(const policy_type& policy, const Visit& visit) {
    int first_stream = 1;
    std::int32_t number = 0;
    std::apply(
        [&](const Ps&... part) {
          ((visit(part, number++, first_stream), first_stream += augmentation_traits<Ps>::streams),
           ...);
        },
        policy.parts);
  }
};

}  // namespace detail

template <augmentation... Ps>
struct augmentation_traits<one_of_policy<Ps...>>
    : detail::one_of_traits<one_of_policy<Ps...>, Ps...> {
  static constexpr std::string_view name = "one_of";
  static void validate(const one_of_policy<Ps...>& policy, index_t rows, index_t cols) {
    detail::check_probabilities(name, policy.probabilities);
    detail::parts_traits<Ps...>::validate(policy, rows, cols);
  }
};

template <memory_space S, augmentation... Ps>
struct augmentation_traits<one_of_from_policy<S, Ps...>>
    : detail::one_of_traits<one_of_from_policy<S, Ps...>, Ps...> {
  using parts = detail::parts_traits<Ps...>;
  static constexpr std::string_view name = "one_of_from";
  static void validate(const one_of_from_policy<S, Ps...>& policy, index_t rows, index_t cols) {
    detail::check_choice(name, policy.choice, rows, sizeof...(Ps));
    parts::validate(policy, rows, cols);
  }
  static void add_memory(const one_of_from_policy<S, Ps...>& policy, check::call_memory& memory) {
    memory.reads("choice", policy.choice);
    parts::add_memory(policy, memory);
  }
  template <class T>
  static void check_forward(const one_of_from_policy<S, Ps...>& policy,
                            const matrix_view<T, S>& out, bool alone) {
    check::apart(name, "out", out, "choice", feaug::detail::as_column(policy.choice));
    parts::check_forward(policy, out, alone);
  }
};

/// Writes the choice that one_of draws from the key, the index of a part for every row;
/// one_of_from(choice, parts…) with the same key then equals one_of.
template <any_context Context, augmentation... Ps>
void draw(Context& ctx, const one_of_policy<Ps...>& policy, const random_key& key,
          vector_view<index_t, Context::space> choice) {
  constexpr std::string_view op = "draw";
  check::writable(op, "choice", choice);
  check::usable(op, key, choice.size(), 1, stream_count<one_of_policy<Ps...>>, Context::space);
  detail::check_probabilities(op, policy.probabilities);
  if (choice.empty()) return;
  require_reachable(ctx, op, "choice", choice);
  typename Context::operation call(ctx, op);
  choose_parts(call, detail::parts_of_rows(policy), key, {}, choice.size(), choice);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
