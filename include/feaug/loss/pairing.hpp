// Which columns of the logit matrix are a row's positives, its own column, or excluded.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>

#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

struct pairing {
  index_t shift = 0;       ///< row i's positive is column i + shift …
  index_t partners = 0;    ///< … if that is in [0, partners); otherwise it has none
  bool self = false;       ///< the row is also a column, excluded from its own sum:
  index_t self_shift = 0;  ///< column i + self_shift

  [[nodiscard]] FEAUG_HD index_t positive(index_t i) const {
    const index_t p = i + shift;
    return p >= 0 && p < partners ? p : -1;
  }
};

/// Labels for a self-contrast (the rows are also the columns): row i's positives are the other
/// columns with its label. Positives stay in the row's sum.
struct labelling {
  const index_t* label = nullptr;          ///< null: no labels
  const double* positive_share = nullptr;  ///< 1 / number of row i's positives; 0 if none

  [[nodiscard]] FEAUG_HD bool given() const { return label != nullptr; }
};

/// Columns that are excluded from a row's sum because their id equals the row's id.
template <memory_space Space = memory_space::host>
struct exclusion {
  vector_view<const std::int64_t, Space> ids = {};          ///< one per column
  vector_view<const std::int64_t, Space> exclude_ids = {};  ///< one per row; empty: no exclusion

  [[nodiscard]] FEAUG_HD bool given() const { return !exclude_ids.empty(); }
  [[nodiscard]] FEAUG_HD bool contains(index_t row, index_t column) const {
    return ids[column] == exclude_ids[row];
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail

#include "feaug/header_end.hpp"
