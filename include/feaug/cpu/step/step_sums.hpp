// What a step adds up besides what its operators do, on the CPU. cuda/step/step.cuh has the same.
#pragma once

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/operation.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Puts `gradient` where x wants it.
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
