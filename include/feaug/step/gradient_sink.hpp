// Where the parts of a step put their gradients by one and the same input.
#pragma once

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

/// A gradient's destination to which several parts of a step contribute: the first in the operand's
/// own mode, the others on top.
template <element T, memory_space Space>
class gradient_sink {
 public:
  explicit gradient_sink(const operand<T, 2, Space>& x) : x_(x) {}

  [[nodiscard]] bool wanted() const { return x_.wants_gradient(); }
  [[nodiscard]] matrix_view<const T, Space> value() const { return x_.value; }

  /// The operand to hand to the next contributor.
  operand<T, 2, Space> next() {
    operand<T, 2, Space> contribution = x_;
    if (written_ && wanted()) contribution.mode = gradient_mode::accumulate;
    written_ = true;
    return contribution;
  }

  /// Where nothing contributed, the gradient is zero.
  template <class Operation>
  void finish(Operation& call) const {
    if (!written_ && x_.mode == gradient_mode::overwrite) put_zero_gradient(call, x_, {}, true);
  }

 private:
  operand<T, 2, Space> x_;
  bool written_ = false;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail
