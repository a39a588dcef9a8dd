// The cosine of two rows, forward and backward.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/l2_norm.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

template <element T>
class compared_rows {
 public:
  compared_rows(const T* first, const T* second, index_t cols)
      : rows_{first, second},
        inverse_{inverse_norm(row_norm(first, cols), default_norm_eps),
                 inverse_norm(row_norm(second, cols), default_norm_eps)},
        cols_(cols) {
    for (index_t j = 0; j < cols; ++j) {
      cosine_ += (static_cast<double>(load(first[j])) * inverse_[0]) *
                 (static_cast<double>(load(second[j])) * inverse_[1]);
    }
  }

  [[nodiscard]] double cosine() const { return cosine_; }

  /// weight · ∂cosine/∂row for side 0 or 1; zero for a row of norm ≤ 1e-12. The gradient with
  /// respect to one unit row is the other unit row.
  void gradient(int side, double weight, compute_t<T>* to) const {
    const T* const other = rows_[1 - side];
    const double factor = weight * inverse_[1 - side];
    for (index_t j = 0; j < cols_; ++j)
      to[j] = static_cast<compute_t<T>>(static_cast<double>(load(other[j])) * factor);
    unit_backward_row(rows_[side], cols_, inverse_[side], default_norm_eps, to);
  }

 private:
  const T* rows_[2];
  double inverse_[2];  // 1 / max(norm, 1e-12)
  index_t cols_;
  double cosine_ = 0;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
