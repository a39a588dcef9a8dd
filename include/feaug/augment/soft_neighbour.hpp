// A softmax-weighted mean of the k nearest rows of a support as the augmented feature.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>
#include <string_view>
#include <type_traits>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/neighbour.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/queue/support_queue.hpp"
#include "feaug/queue/support_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// out_i = Σ_k softmax(s_k / temperature) · unit(v_k) over the k nearest filled rows v_k of a
/// support, s_k = cos(x_i, v_k); see nearest for the exact definition. The gradient is propagated
/// through the weights to x, including its normalisation; the selection of rows and the rows
/// themselves are constants. A query with NaN or ∞, or one that finds a row with NaN, becomes a row
/// of NaN. soft_neighbour_from binds it to a support.
///
/// The weights are those of SNCLR's soft neighbours (Ge et al., arXiv 2303.17142), with a
/// temperature.
struct soft_neighbour {
  /// Number of neighbours; fewer are used if exclusions leave fewer.
  index_t k = 5;
  /// Divides the cosines; above 0. As it approaches 0, the output approaches that of neighbour,
  /// which has no gradient.
  double temperature = 0.1;
  /// error: it is an argument_error if the queue has fewer than k filled rows or if a row finds no
  /// neighbour. A GPU cannot throw: it uses the rows that exist, or writes a row of NaN. query: the
  /// rows that exist are used, and a row without neighbours becomes unit(x), with the gradient of
  /// unit(x).
  neighbour_fallback fallback = neighbour_fallback::error;
};

/// Optional inputs and outputs of a bound soft_neighbour.
template <memory_space Space>
struct basic_soft_neighbour_binding {
  /// N ids: rows of the queue with the query's id are skipped.
  vector_view<const std::int64_t, Space> exclude_ids = {};
  /// N × k: augment writes the found slots here, nearest first, −1 for none, and augment_backward
  /// reads them. Without it the backward pass searches again. The support must not change in
  /// between.
  matrix_view<index_t, Space> indices = {};
};
using soft_neighbour_binding = basic_soft_neighbour_binding<memory_space::host>;

template <element T, memory_space Space = memory_space::host>
struct soft_neighbour_policy {
  support_rows<T, Space> support;
  soft_neighbour how;
  basic_soft_neighbour_binding<Space> binding;
};

/// The augmentation that searches its neighbours in `queue`.
template <element T, memory_space S>
soft_neighbour_policy<T, S> soft_neighbour_from(
    const support_queue<T, S>& queue, const soft_neighbour& how = {},
    const basic_soft_neighbour_binding<S>& binding = {}) {
  return {.support = queue, .how = how, .binding = binding};
}

/// The same for the rows of any matrix, M × D.
template <class U, memory_space S, class T = std::remove_const_t<U>>
requires element<T> soft_neighbour_policy<T, S> soft_neighbour_from(
    const matrix_view<U, S>& support, const soft_neighbour& how = {},
    const basic_soft_neighbour_binding<S>& binding = {}) {
  return {.support = support, .how = how, .binding = binding};
}

template <element U, memory_space S>
struct augmentation_traits<soft_neighbour_policy<U, S>> : augmentation_defaults {
  using policy_type = soft_neighbour_policy<U, S>;
  static constexpr std::string_view name = "soft_neighbour";
  static constexpr int streams = 0;
  static constexpr bool backward_reads_value = true;

  static void validate(const policy_type& policy, index_t rows, index_t cols) {
    const soft_neighbour& how = policy.how;
    check::valid(name, policy.support, cols, "x");
    check::positive(name, "temperature", how.temperature);
    check::within(name, "k", how.k, 1, policy.support.rows().rows());
    if constexpr (S == memory_space::host) {
      if (how.fallback == neighbour_fallback::error && rows > 0) {
        const index_t filled = policy.support.filled();
        if (filled == 0)
          check::fail(name, "queue", "no filled rows",
                      "at least one, or neighbour_fallback::query");
        check::within(name, "k", how.k, 1, filled);
      }
    }
    check::exclusion(name, policy.support, policy.binding.exclude_ids, rows, "one a row");
    check::writable(name, "indices", policy.binding.indices);
    if (policy.binding.indices.data != nullptr)
      check::has_shape(name, "indices", policy.binding.indices, rows, how.k, "x and k ask for");
  }

  static void add_memory(const policy_type& policy, check::call_memory& memory) {
    memory.writes("indices", policy.binding.indices);
    memory.reads("exclude_ids", policy.binding.exclude_ids);
    check::add_support(memory, policy.support);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
