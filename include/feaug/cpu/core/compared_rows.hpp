// The cosine of two rows, forward and backward.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/l2_norm.hpp"
#include "feaug/cpu/core/row_arithmetic.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

template <element T>
class compared_rows {
 public:
  compared_rows(instruction_set instructions, const T* first, const T* second, index_t cols)
      : instructions_(instructions),
        rows_{first, second},
        inverse_{inverse_norm(row_norm(first, cols), default_norm_eps),
                 inverse_norm(row_norm(second, cols), default_norm_eps)},
        cols_(cols),
        cosine_(scaled_dot(instructions, first, inverse_[0], second, inverse_[1], cols)) {}

  [[nodiscard]] double cosine() const { return cosine_; }

  /// weight · ∂cosine/∂row for side 0 or 1; zero for a row of norm ≤ 1e-12. The gradient with
  /// respect to one unit row is the other unit row.
  void gradient(int side, double weight, compute_t<T>* to) const {
    const T* const other = rows_[1 - side];
    const double factor = weight * inverse_[1 - side];
    scale_row(instructions_, other, cols_, factor, to);
    unit_backward_row(instructions_, rows_[side], cols_, inverse_[side], default_norm_eps, to);
  }

 private:
  instruction_set instructions_;
  const T* rows_[2];
  double inverse_[2];  // 1 / max(norm, 1e-12)
  index_t cols_;
  double cosine_;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
