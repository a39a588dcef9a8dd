// Column statistics of a batch: sums over the rows, and centred and scaled columns. The formulas
// are shared by all backends.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// (x_ij − mean_j) · factor_j, recomputed at every read.
template <element T, memory_space Space = memory_space::host>
struct scaled_columns {
  matrix_view<const T, Space> x = {};
  const double* mean = nullptr;
  const double* factor = nullptr;  ///< null: 1

  FEAUG_HD double operator()(index_t i, index_t j) const {
    const double centred = static_cast<double>(load(x(i, j))) - mean[j];
    return factor == nullptr ? centred : centred * factor[j];
  }
};

/// The elements of x as double, optionally multiplied by the inverse norm of their row.
template <element T, memory_space Space = memory_space::host>
struct row_elements {
  matrix_view<const T, Space> x = {};
  const double* inverse_norm = nullptr;  ///< null: rows as they are

  FEAUG_HD double operator()(index_t i, index_t j) const {
    const auto value = static_cast<double>(load(x(i, j)));
    return inverse_norm == nullptr ? value : value * inverse_norm[i];
  }
};

namespace detail {

// operator()(i, j) is one term of the sum of column j, put(j, sum) processes the sum. Each backend
// has a loop that calls put once for every column.

template <element T, memory_space S>
struct column_mean {
  row_elements<T, S> elements;
  double* mean;

  FEAUG_HD double operator()(index_t i, index_t j) const { return elements(i, j); }
  FEAUG_HD void put(index_t j, double sum) const {
    mean[j] = sum / static_cast<double>(elements.x.rows());
  }
};

/// Adds the mean of the deviations to the mean. This removes the rounding error of the first sum,
/// which matters where a mean is much larger than the deviation of its column.
template <element T, memory_space S>
struct refined_mean {
  row_elements<T, S> elements;
  double* mean;

  FEAUG_HD double operator()(index_t i, index_t j) const { return elements(i, j) - mean[j]; }
  FEAUG_HD void put(index_t j, double sum) const {
    mean[j] += sum / static_cast<double>(elements.x.rows());
  }
};

template <element T, memory_space S>
struct squared_deviation {
  row_elements<T, S> elements;
  const double* mean;
  double* squares;

  FEAUG_HD double operator()(index_t i, index_t j) const {
    const double deviation = elements(i, j) - mean[j];
    return deviation * deviation;
  }
  FEAUG_HD void put(index_t j, double sum) const { squares[j] = sum; }
};

}  // namespace detail
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
