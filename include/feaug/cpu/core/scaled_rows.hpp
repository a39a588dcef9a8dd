// Sums of scaled rows, for matrix products in which no result may depend on how rows or columns are
// grouped.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// y[j] += Σ_t factor[t · factor_stride] · x[t · stride + j] for j in [0, count), t in [0, rows).
/// Each sum is taken in order of t, so splitting rows or columns does not change the result. Four
/// rows at a time, so that y is read and written a quarter as often; 5/4 loads and 1/4 store for
/// each multiply-add.
template <class C>
void add_scaled_rows(C* y, index_t count, const C* factor, index_t factor_stride, const C* x,
                     index_t stride, index_t rows) {
  index_t t = 0;
  for (; t + 4 <= rows; t += 4) {
    const C* x0 = x + t * stride;
    const C* x1 = x0 + stride;
    const C* x2 = x1 + stride;
    const C* x3 = x2 + stride;
    const C* f = factor + t * factor_stride;
    const C f0 = f[0];
    const C f1 = f[factor_stride];
    const C f2 = f[2 * factor_stride];
    const C f3 = f[3 * factor_stride];
    for (index_t j = 0; j < count; ++j)
      y[j] = (((y[j] + f0 * x0[j]) + f1 * x1[j]) + f2 * x2[j]) + f3 * x3[j];
  }
  for (; t < rows; ++t) {
    const C f = factor[t * factor_stride];
    const C* row = x + t * stride;
    for (index_t j = 0; j < count; ++j) y[j] = y[j] + f * row[j];
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
