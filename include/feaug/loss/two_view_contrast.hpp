// Shared by symmetric_info_nce and nt_xent: two views of N rows, and a softmax per row of each
// view.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/core/any_context.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/row_reduction.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

/// The columns of a view's rows.
enum class two_view_columns {
  other_view,  ///< symmetric_info_nce: the other view's rows; loss_i is the mean of both directions
  both_views,  ///< nt_xent: all other rows of both views; 2N losses
};

template <element T, memory_space Space = memory_space::host>
struct two_view_problem {
  operand<T, 2, Space> views[2];
  const char* names[2];
  two_view_columns columns = two_view_columns::other_view;
  bool decoupled = false;         ///< excludes the positive from the denominator
  double positive_weighting = 0;  ///< σ of the positives' weights; 0: no weights
  bool normalize = true;
  double temperature = 1;
  operand<compute_t<T>, 1, Space> learnable_temperature = {};
  row_reduction<compute_t<T>, Space> reduction = {};  ///< validate() sets its rows
  loss_vectors<compute_t<T>, Space> vectors = {};

  [[nodiscard]] index_t rows() const { return views[0].value.rows(); }
  [[nodiscard]] index_t cols() const { return views[0].value.cols(); }
  [[nodiscard]] bool over_both() const { return columns == two_view_columns::both_views; }

  /// Checks a call's arguments.
  void validate(std::string_view op) {
    check::two_views(op, names[0], views[0], names[1], views[1]);
    check::loss_memory(op, *this, vectors)
        .uses(names[0], views[0])
        .uses(names[1], views[1])
        .reads("row_weights", reduction.weights)
        .require_apart();
    if (decoupled && rows() < 2) {
      check::fail(op, names[0], "1 row",
                  "at least 2, since decoupled leaves a single pair no denominator");
    }
    if (!feaug::detail::is_equal(positive_weighting, 0)) {
      check::positive(op, "positive_weighting", positive_weighting);
      if (!decoupled) {
        check::fail(op, "positive_weighting", check::text(positive_weighting),
                    "0, or decoupled with it");
      }
    }
    check::temperature(op, temperature, learnable_temperature);
    reduction.rows = over_both() ? 2 * rows() : rows();
    reduction.validate(op);
  }
};

/// One call of either loss, see loss_verbs.hpp. Backends specialise it.
template <class Context, element T>
struct two_view_call {
  static_assert(is_included<Context>,
                "include nt_xent.hpp or symmetric_info_nce.hpp of feaug/cpu/loss, or their .cuh of "
                "feaug/cuda/loss");
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail

#include "feaug/header_end.hpp"
