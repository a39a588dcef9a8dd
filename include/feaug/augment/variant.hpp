// Augmentations chosen at run time: a std::variant of policies is a policy.
//
// ```cpp
// std::variant<feaug::identity, feaug::mask> policy = feaug::mask{.keep_probability = 0.9F};
// feaug::augment(ctx, policy, x, key, out);
// ```
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <string_view>
#include <type_traits>
#include <variant>

#include "feaug/augment/augmentation.hpp"
#include "feaug/core/any_context.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Uses the largest number of streams of all alternatives and the strictest overlap rule, whichever
/// alternative is active.
template <augmentation... Ps>
struct augmentation_traits<std::variant<Ps...>> : augmentation_defaults {
  using policy_type = std::variant<Ps...>;
  static constexpr std::string_view name = "variant";
  static constexpr int streams = std::max({augmentation_traits<Ps>::streams...});
  static constexpr bool mixes_rows = (augmentation_traits<Ps>::mixes_rows || ...);
  static constexpr bool backward_reads_value =
      (augmentation_traits<Ps>::backward_reads_value || ...);

  static bool wants_gradient(const policy_type& policy) {
    return visit(policy, [](auto traits, const auto& held) {
      return decltype(traits)::wants_gradient(held);
    });
  }
  static void validate(const policy_type& policy, index_t rows, index_t cols) {
    visit(policy,
          [&](auto traits, const auto& held) { decltype(traits)::validate(held, rows, cols); });
  }
  static void add_memory(const policy_type& policy, check::call_memory& memory) {
    visit(policy,
          [&](auto traits, const auto& held) { decltype(traits)::add_memory(held, memory); });
  }
  template <class T, memory_space S>
  static void check_forward(const policy_type& policy, const matrix_view<T, S>& out, bool alone) {
    visit(policy, [&](auto traits, const auto& held) {
      decltype(traits)::check_forward(held, out, alone);
    });
  }
  template <class T, memory_space S>
  static void check_backward(const policy_type& policy, const operand<T, 2, S>& x,
                             const matrix_view<const T, S>& grad_out) {
    visit(policy, [&](auto traits, const auto& held) {
      decltype(traits)::check_backward(held, x, grad_out);
    });
  }

  template <any_context Context, element T>
  static void forward(Context& ctx, const policy_type& policy,
                      matrix_view<const T, Context::space> x, const random_key& key,
                      const row_selection& selection, matrix_view<T, Context::space> out) {
    visit(policy, [&](auto /*traits*/, const auto& held) {
      using held_type = std::remove_cvref_t<decltype(held)>;
      detail::require_carried_out<Context, held_type, T>();
      augmentation_on<Context, held_type>::forward(ctx, held, x, key, selection, out);
    });
  }

  template <any_context Context, element T>
  static void backward(Context& ctx, const policy_type& policy,
                       const operand<T, 2, Context::space>& x, const random_key& key,
                       const row_selection& selection,
                       matrix_view<const T, Context::space> grad_out) {
    visit(policy, [&](auto traits, const auto& held) {
      using held_traits = decltype(traits);
      if constexpr (mixes_rows && !held_traits::mixes_rows) {
        // Callers rely on every row being written, but this alternative writes only the selected
        // rows.
        if (!selection.all() && x.mode == gradient_mode::overwrite) {
          typename Context::operation call(ctx, name);
          put_zero_gradient(call, x, selection, false);
        }
      }
      augmentation_on<Context, std::remove_cvref_t<decltype(held)>>::backward(ctx, held, x, key,
                                                                              selection, grad_out);
    });
  }

 private:
  template <class Act>
  static auto visit(const policy_type& policy, const Act& act) {
    return std::visit(
        [&](const auto& held) {
          return act(augmentation_traits<std::remove_cvref_t<decltype(held)>>{}, held);
        },
        policy);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
