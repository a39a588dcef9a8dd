// Collects the gradients with respect to one input from several parts of a step.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

/// The destination of a gradient with several contributions: the first is written in the operand's
/// own mode, the others are accumulated.
template <element T, memory_space Space>
class gradient_accumulator {
 public:
  explicit gradient_accumulator(const operand<T, 2, Space>& x) : x_(x) {}

  [[nodiscard]] bool wanted() const { return x_.wants_gradient(); }
  [[nodiscard]] matrix_view<const T, Space> value() const { return x_.value; }

  /// The operand for the next contribution.
  operand<T, 2, Space> next() {
    operand<T, 2, Space> contribution = x_;
    if (written_ && wanted()) contribution.mode = gradient_mode::accumulate;
    written_ = true;
    return contribution;
  }

  /// If there was no contribution, the gradient is set to zero.
  template <class Operation>
  void finish(Operation& call) const {
    if (!written_ && x_.mode == gradient_mode::overwrite) put_zero_gradient(call, x_, {}, true);
  }

 private:
  operand<T, 2, Space> x_;
  bool written_ = false;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail

#include "feaug/header_end.hpp"
