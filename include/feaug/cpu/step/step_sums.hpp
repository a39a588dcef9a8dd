// The sums of a step that no operator does, on the CPU. The counterpart is in cuda/step/step.cuh.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/operation.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Writes `gradient` to x's destination, by overwriting or accumulating.
template <element T>
void put_gradient_matrix(operation& call, const operand<T>& x,
                         const matrix_view<const T>& gradient) {
  for_each_row(call.context(), gradient.rows(), gradient.cols(), {}, [&](index_t i, int) {
    put_gradient(x, i, [&](index_t j) { return load(gradient(i, j)); });
  });
}

/// total += weight · loss
template <class C>
void add_to_total(operation& /*call*/, double weight, const vector_view<C>& loss, double* total) {
  *total += weight * static_cast<double>(loss[0]);
}

/// loss = total
template <class C>
void write_total(operation& /*call*/, const double* total, const vector_view<C>& loss) {
  loss[0] = static_cast<C>(*total);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
