// The nearest neighbour in a support queue as the augmented feature.
#pragma once

#include <cmath>
#include <string_view>
#include <type_traits>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/backward_views.hpp"
#include "feaug/augment/l2_normalize.hpp"
#include "feaug/queue/nearest.hpp"
#include "feaug/queue/support_queue.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// What the query gets of the neighbour's gradient. The search itself is never differentiated.
enum class neighbour_gradient {
  none,  ///< nothing: a neighbour is a constant (NNCLR; Dwibedi et al., arXiv 2104.14548)
  straight_through,  ///< g, as if the neighbour were the query
};

/// What a row gets that has no neighbour: the queue is empty, or every filled row is excluded.
enum class neighbour_fallback {
  error,  ///< argument_error
  query,  ///< unit(x)
};

/// out_i = the unit vector of the nearest filled row of a queue by cosine; see nearest for what
/// nearest means exactly. A query with NaN or ∞ becomes a row of NaN. Bind it to a queue with
/// neighbour_from.
struct neighbour {
  neighbour_gradient gradient = neighbour_gradient::none;
  neighbour_fallback fallback = neighbour_fallback::error;
};

/// What a bound neighbour may be told of, and tell.
struct neighbour_binding {
  vector_view<const std::int64_t> exclude_ids =
      {};  ///< N ids: rows of the queue with the query's own id are passed over
  vector_view<index_t> indices = {};  ///< N: where the found slots are written, −1 for none
};

template <element T>
struct neighbour_policy {
  support_queue<T> queue;
  neighbour how;
  neighbour_binding binding;
};

/// The augmentation that looks its neighbours up in `queue`.
template <element T>
neighbour_policy<T> neighbour_from(const support_queue<T>& queue, const neighbour& how = {},
                                   const neighbour_binding& binding = {}) {
  return {.queue = queue, .how = how, .binding = binding};
}

template <element U>
struct augmentation_traits<neighbour_policy<U>> : augmentation_defaults {
  using policy_type = neighbour_policy<U>;
  static constexpr std::string_view name = "neighbour";
  static constexpr int streams = 0;

  static void validate(const policy_type& policy, index_t rows, index_t cols) {
    check::valid(name, policy.queue);
    check::has_columns(name, "queue.storage", policy.queue.storage, cols, "x");
    if (*policy.queue.size == 0 && policy.how.fallback == neighbour_fallback::error && rows > 0) {
      check::fail(name, "queue", "no filled rows", "at least one, or neighbour_fallback::query");
    }
    check::readable(name, "exclude_ids", policy.binding.exclude_ids);
    if (!policy.binding.exclude_ids.empty()) {
      check::has_size(name, "exclude_ids", policy.binding.exclude_ids, rows, "one a row");
    }
    check::writable(name, "indices", policy.binding.indices);
    if (!policy.binding.indices.empty())
      check::has_size(name, "indices", policy.binding.indices, rows, "one a row");
  }

  template <class T>
  static void check_forward(const policy_type& policy, const matrix_view<T>& out, bool /*alone*/) {
    check::apart(name, "out", out, "queue.storage", policy.queue.storage);
  }

  template <element T>
  static void forward(cpu_context& ctx, const policy_type& policy, matrix_view<const T> x,
                      const random_key& /*key*/, const row_selection& selection,
                      matrix_view<T> out) {
    workspace::scope scope(ctx.workspace);
    auto* found = scope.take_filled<index_t>(x.rows(), -1);
    if (*policy.queue.size > 0) {
      nearest(ctx, policy.queue, x, {.indices = {found, x.rows(), 1}},
              {.k = 1, .exclude_ids = policy.binding.exclude_ids});
    }
    if (policy.how.fallback == neighbour_fallback::error) refuse_missing(x, selection, found);
    cpu::for_each_row(ctx, x.rows(), x.cols(), selection, [&](index_t i, int) {
      if (!policy.binding.indices.empty()) policy.binding.indices[i] = found[i];
      const T* row = found[i] < 0 ? x.row(i) : policy.queue.storage.row(found[i]);
      cpu::normalize_row(row, x.cols(), default_norm_eps, out.row(i));
    });
  }

  /// Straight-through hands g to every row, to one that fell back to itself as well: no search is
  /// needed to go back.
  template <element T>
  static void backward(cpu_context& ctx, const policy_type& policy, const operand<T>& x,
                       const random_key& /*key*/, const row_selection& selection,
                       matrix_view<const T> grad_out) {
    using C = compute_t<T>;
    const bool through = policy.how.gradient == neighbour_gradient::straight_through;
    cpu::for_each_row(ctx, x.value.rows(), x.value.cols(), selection, [&](index_t i, int) {
      cpu::put_gradient(x, i, [&](index_t j) { return through ? load(grad_out(i, j)) : C{0}; });
    });
  }

 private:
  template <class T>
  static void refuse_missing(const matrix_view<const T>& x, const row_selection& selection,
                             const index_t* found) {
    for (index_t i = 0; i < x.rows(); ++i) {
      if (found[i] < 0 && selection.contains(i) &&
          std::isfinite(cpu::row_norm(x.row(i), x.cols()))) {
        check::fail(name, "exclude_ids", "every filled row excluded for row " + check::text(i),
                    "a neighbour for every row, or neighbour_fallback::query");
      }
    }
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
