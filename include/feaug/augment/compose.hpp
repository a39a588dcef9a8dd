// Several augmentations in sequence.
#pragma once

#include "feaug/header_begin.hpp"

#include <array>
#include <cstddef>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/parts.hpp"
#include "feaug/core/any_context.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <augmentation... Ps>
struct composed {
  std::tuple<Ps...> parts;
};

/// The augmentation that applies its parts in order. Each part draws from its own streams. Scratch:
/// an N × D array for every part but the last; the backward pass needs two more.
template <augmentation... Ps>
composed<Ps...> compose(const Ps&... parts) {
  static_assert(sizeof...(Ps) >= 1, "compose needs at least one augmentation");
  return {.parts = {parts...}};
}

template <augmentation... Ps>
struct augmentation_traits<composed<Ps...>> : detail::parts_traits<Ps...> {
  using policy_type = composed<Ps...>;
  static constexpr std::string_view name = "compose";
  static constexpr int count = sizeof...(Ps);
  static constexpr int streams = (augmentation_traits<Ps>::streams + ...);
  using parts = detail::parts_traits<Ps...>;
  using parts::backward_reads_value;
  using parts::mixes_rows;

  template <class T, memory_space S>
  static void check_forward(const policy_type& policy, const matrix_view<T, S>& out, bool alone) {
    parts::check_forward(policy, out, alone && count == 1);
  }

  template <any_context Context, element T>
  static void forward(Context& ctx, const policy_type& policy,
                      matrix_view<const T, Context::space> x, const random_key& key,
                      const row_selection& selection, matrix_view<T, Context::space> out) {
    (detail::require_carried_out<Context, Ps, T>(), ...);
    typename Context::operation call(ctx, name);
    run<Context, T>(ctx, call, policy, x, key, selection, count, out);
  }

  template <any_context Context, element T>
  static void backward(Context& ctx, const policy_type& policy,
                       const operand<T, 2, Context::space>& x, const random_key& key,
                       const row_selection& selection,
                       matrix_view<const T, Context::space> grad_out) {
    using input_view = matrix_view<const T, Context::space>;
    typename Context::operation call(ctx, name);
    std::array<input_view, std::size_t{count}> inputs;  // of each part
    inputs.fill(x.value);                               // parts that only read the shape use it
    if constexpr (backward_reads_value && count > 1) {
      inputs = run<Context, T>(ctx, call, policy, x.value, key, selection, count - 1, {});
    }
    const index_t rows = x.value.rows();
    const index_t cols = x.value.cols();
    std::array<matrix_view<T, Context::space>, 2> between;
    for (auto& gradient : between) {
      if (count > 1) gradient = {call.template take_zeros<T>(rows * cols), rows, cols};
    }
    input_view incoming = grad_out;
    for_each_part_backwards([&](auto at, int first_stream) {
      constexpr int part = decltype(at)::value;
      const auto& policy_part = std::get<part>(policy.parts);
      operand<T, 2, Context::space> input = x;
      if constexpr (part > 0) {
        input = differentiable(inputs[part], between[part % 2]);
      }
      using on_context =
          augmentation_on<Context, std::tuple_element_t<std::size_t{part}, std::tuple<Ps...>>>;
      on_context::backward(ctx, policy_part, input, key.streams_later(first_stream),
                           selection_of(part, selection), incoming);
      incoming = input.gradient;
    });
  }

 private:
  /// If a part mixes rows, every part but the last processes all rows, since a selected row may
  /// read any other row.
  static row_selection selection_of(int part, const row_selection& selection) {
    return mixes_rows && part + 1 < count ? row_selection{} : selection;
  }

  /// Runs the first `parts` parts. The last part of the composition writes to `out`, the others to
  /// scratch. Returns the input of each part.
  template <class Context, class T>
  static std::array<matrix_view<const T, Context::space>, std::size_t{count}> run(
      Context& ctx, typename Context::operation& call, const policy_type& policy,
      matrix_view<const T, Context::space> x, const random_key& key, const row_selection& selection,
      int parts, matrix_view<T, Context::space> out) {
    using output_view = matrix_view<T, Context::space>;
    std::array<matrix_view<const T, Context::space>, std::size_t{count}> inputs;
    inputs.fill(x);
    int first_stream = 0;
    const auto one = [&](auto at) {
      constexpr int part = decltype(at)::value;
      using part_type = std::tuple_element_t<std::size_t{part}, std::tuple<Ps...>>;
      using on_context = augmentation_on<Context, part_type>;
      if (part >= parts) return;
      const output_view to =
          part + 1 < count
              ? output_view(call.template take_zeros<T>(x.rows() * x.cols()), x.rows(), x.cols())
              : out;
      on_context::forward(ctx, std::get<part>(policy.parts), inputs[part],
                          key.streams_later(first_stream), selection_of(part, selection), to);
      first_stream += augmentation_traits<part_type>::streams;
      if constexpr (part + 1 < count) inputs[part + 1] = to;
    };
    [&]<int... At>(std::integer_sequence<int, At...>) {
      (one(std::integral_constant<int, At>{}), ...);
    }
    (std::make_integer_sequence<int, count>{});
    return inputs;
  }

  /// Calls visit(integral constant part, its first stream) from the last part to the first.
  template <class Visit>
  static void for_each_part_backwards(const Visit& visit) {
    constexpr std::array<int, std::size_t{count}> streams_of = {
        augmentation_traits<Ps>::streams...};
    int after = streams;
    const auto one = [&](auto at) {
      after -= streams_of[static_cast<std::size_t>(decltype(at)::value)];
      visit(at, after);
    };
    [&]<int... At>(std::integer_sequence<int, At...>) {
      (one(std::integral_constant<int, count - 1 - At>{}), ...);
    }
    (std::make_integer_sequence<int, count>{});
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
