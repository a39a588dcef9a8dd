// One of several augmentations for every row, by draw.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <utility>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/backward_views.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <augmentation... Ps>
struct one_of_policy {
  std::array<float, sizeof...(Ps)> probabilities;
  std::tuple<Ps...> parts;
};

/// The augmentation that draws a part for every row: `one_of({0.7F, 0.3F}, mask{},
/// gaussian_noise{})`. The probabilities are at least 0 and sum to 1. A part works on its own rows
/// only; one that mixes rows still reads all of them.
template <augmentation... Ps>
one_of_policy<Ps...> one_of(const std::array<float, sizeof...(Ps)>& probabilities,
                            const Ps&... parts) {
  return {.probabilities = probabilities, .parts = {parts...}};
}

template <augmentation... Ps>
struct augmentation_traits<one_of_policy<Ps...>> : augmentation_defaults {
  using policy_type = one_of_policy<Ps...>;
  static constexpr std::string_view name = "one_of";
  static constexpr int streams = 1 + (augmentation_traits<Ps>::streams + ...);
  static constexpr bool mixes_rows = (augmentation_traits<Ps>::mixes_rows || ...);
  static constexpr bool backward_reads_value =
      (augmentation_traits<Ps>::backward_reads_value || ...);

  static bool wants_gradient(const policy_type& policy) {
    return std::apply(
        [](const Ps&... part) { return (augmentation_traits<Ps>::wants_gradient(part) || ...); },
        policy.parts);
  }
  static void validate(const policy_type& policy, index_t rows, index_t cols) {
    double sum = 0;
    for (const float probability : policy.probabilities) {
      check::within(name, "probabilities", static_cast<double>(probability), 0.0, 1.0);
      sum += static_cast<double>(probability);
    }
    if (std::abs(sum - 1.0) > 1e-6)
      check::fail(name, "probabilities", "a sum of " + check::text(sum), "a sum of 1");
    std::apply(
        [&](const Ps&... part) { (augmentation_traits<Ps>::validate(part, rows, cols), ...); },
        policy.parts);
  }
  template <class T>
  static void check_forward(const policy_type& policy, const matrix_view<T>& out, bool alone) {
    std::apply(
        [&](const Ps&... part) { (augmentation_traits<Ps>::check_forward(part, out, alone), ...); },
        policy.parts);
  }
  template <class T>
  static void check_backward(const policy_type& policy, const operand<T>& x,
                             const matrix_view<const T>& grad_out) {
    std::apply(
        [&](const Ps&... part) {
          (augmentation_traits<Ps>::check_backward(part, x, grad_out), ...);
        },
        policy.parts);
  }

  template <element T>
  static void forward(cpu_context& ctx, const policy_type& policy, matrix_view<const T> x,
                      const random_key& key, const row_selection& selection, matrix_view<T> out) {
    workspace::scope scope(ctx.workspace);
    const std::int32_t* choice = choose(scope, policy, key, selection, x.rows());
    for_each_part(policy, [&](const auto& part, std::int32_t number, int first_stream) {
      using traits = augmentation_traits<std::remove_cvref_t<decltype(part)>>;
      traits::forward(ctx, part, x, key.streams_later(first_stream),
                      {.choice = choice, .part = number}, out);
    });
  }

  template <element T>
  static void backward(cpu_context& ctx, const policy_type& policy, const operand<T>& x,
                       const random_key& key, const row_selection& selection,
                       matrix_view<const T> grad_out) {
    workspace::scope scope(ctx.workspace);
    const std::int32_t* choice = choose(scope, policy, key, selection, x.value.rows());
    operand<T> input = x;
    if constexpr (mixes_rows) {
      // Several parts contribute to a row: start from zero and add.
      if (x.mode == gradient_mode::overwrite) {
        cpu::for_each_row(ctx, x.value.rows(), x.value.cols(), {}, [&](index_t i, int) {
          cpu::put_gradient(x, i, [](index_t) { return compute_t<T>{0}; });
        });
        input.mode = gradient_mode::accumulate;
      }
    }
    for_each_part(policy, [&](const auto& part, std::int32_t number, int first_stream) {
      using traits = augmentation_traits<std::remove_cvref_t<decltype(part)>>;
      traits::backward(ctx, part, input, key.streams_later(first_stream),
                       {.choice = choice, .part = number}, grad_out);
    });
  }

 private:
  /// The part of every row; −1 for rows that are not selected.
  static const std::int32_t* choose(workspace::scope& scope, const policy_type& policy,
                                    const random_key& key, const row_selection& selection,
                                    index_t rows) {
    auto* choice = scope.take<std::int32_t>(rows);
    for (index_t i = 0; i < rows; ++i) {
      choice[i] = selection.contains(i) ? part_at(policy, draw_uniform(key, i, 0)) : -1;
    }
    return choice;
  }

  static std::int32_t part_at(const policy_type& policy, float drawn) {
    std::int32_t last = 0;
    float reached = 0;
    for (std::size_t part = 0; part < sizeof...(Ps); ++part) {
      if (policy.probabilities[part] == 0.0F) continue;
      last = static_cast<std::int32_t>(part);
      reached += policy.probabilities[part];
      if (drawn < reached) break;
    }
    return last;  // rounding may leave the sum just below 1
  }

  /// visit(part, its number, its first stream); stream 0 is the choice's.
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

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
