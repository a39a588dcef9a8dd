// Which columns of a matrix of logits a row treats apart.
#pragma once

#include <cstdint>

#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

struct pairing {
  index_t shift = 0;       ///< row i's positive is i + shift …
  index_t partners = 0;    ///< … where that is in [0, partners), else it has none
  bool self = false;       ///< the row is a column too, left out of its own sum:
  index_t self_shift = 0;  ///< column i + self_shift

  [[nodiscard]] FEAUG_HD index_t positive(index_t i) const {
    const index_t p = i + shift;
    return p >= 0 && p < partners ? p : -1;
  }
};

/// Rows that are the columns, too, with a label each: row i's positives are the other columns of
/// its label. They stay in its sum.
struct labelling {
  const index_t* label = nullptr;          ///< null: there are none
  const double* positive_share = nullptr;  ///< 1 / how many positives row i has; 0 if it has none

  [[nodiscard]] FEAUG_HD bool given() const { return label != nullptr; }
};

/// Columns that a row passes over because their id is its own.
template <memory_space Space = memory_space::host>
struct exclusion {
  vector_view<const std::int64_t, Space> ids = {};  ///< one a column
  vector_view<const std::int64_t, Space> exclude_ids =
      {};  ///< one a row; empty: none is passed over

  [[nodiscard]] FEAUG_HD bool given() const { return !exclude_ids.empty(); }
  [[nodiscard]] FEAUG_HD bool contains(index_t row, index_t column) const {
    return ids[column] == exclude_ids[row];
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail
