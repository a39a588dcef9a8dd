// Cosines of a query and the neighbours that a search found for it.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// A found row, its cosine with the query, and the factor of its features.
struct compared_neighbour {
  index_t slot = -1;
  double similarity = 0;
  double factor = 0;  ///< 1 / max(‖row‖, 1e-12), later times the row's weight
};

/// Writes the neighbours at `slots` to `found`, skipping −1, and returns their number. Cosines are
/// computed in double. `inverse` is 1 / max(‖query‖, 1e-12).
template <element T>
index_t compare_neighbours(const T* query, double inverse, const matrix_view<const T>& rows,
                           const index_t* slots, index_t k, compared_neighbour* found) {
  const index_t cols = rows.cols();
  index_t count = 0;
  for (index_t rank = 0; rank < k; ++rank) {
    if (slots[rank] < 0) continue;
    const T* row = rows.row(slots[rank]);
    const double factor = inverse_norm(row_norm(row, cols), default_norm_eps);
    double similarity = 0;
    for (index_t j = 0; j < cols; ++j) {
      similarity += (static_cast<double>(load(query[j])) * inverse) *
                    (static_cast<double>(load(row[j])) * factor);
    }
    found[count++] = {.slot = slots[rank], .similarity = similarity, .factor = factor};
  }
  return count;
}

/// Column j of Σ factor · row over the neighbours.
template <element T>
double neighbour_sum(const matrix_view<const T>& rows, const compared_neighbour* found,
                     index_t count, index_t j) {
  double sum = 0;
  for (index_t n = 0; n < count; ++n)
    sum += found[n].factor * static_cast<double>(load(rows.row(found[n].slot)[j]));
  return sum;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
