// The D × D cross-moments of a batch's features, for redundancy-reduction losses (Barlow Twins,
// VICReg).
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>

#include "feaug/core/columns.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

/// C_jk = scale · Σ_i x_ij · y_ik. C is processed in strips of rows. A strip has at most
/// `strip_elements` elements, or one row if a row is larger.
template <element T, memory_space Space = memory_space::host>
struct cross_moments_problem {
  scaled_columns<T, Space> x;
  scaled_columns<T, Space> y;
  double scale;
  index_t strip_elements;

  [[nodiscard]] index_t features() const { return x.x.cols(); }

  /// Rows of C in a strip; all strips have nearly the same number. Depends on the shape only.
  [[nodiscard]] index_t strip_rows() const {
    const index_t all = features();
    const index_t fitting = std::clamp<index_t>(strip_elements / all, 1, all);
    const index_t strips = (all + fitting - 1) / fitting;
    return (all + strips - 1) / strips;
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail

#include "feaug/header_end.hpp"
