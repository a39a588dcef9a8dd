// Columns minus their means, for the formulas of barlow_twins and vicreg.
#pragma once

#include <cstddef>
#include <vector>

#include "loss/formula.hpp"

namespace testing {

/// Column j of x minus its mean.
template <class S>
std::vector<S> centred_column(const rows_of<S>& x, index_t j) {
  const auto at = static_cast<std::size_t>(j);
  S mean = x[0][at];
  for (index_t i = 1; i < x.size(); ++i) mean += x[i][at];
  mean = mean / static_cast<double>(x.size());
  std::vector<S> column;
  for (index_t i = 0; i < x.size(); ++i) column.push_back(x[i][at] - mean);
  return column;
}

/// All columns minus their means.
template <class S>
std::vector<std::vector<S>> centred_columns(const rows_of<S>& x) {
  std::vector<std::vector<S>> columns;
  for (index_t j = 0; j < static_cast<index_t>(x[0].size()); ++j)
    columns.push_back(centred_column(x, j));
  return columns;
}

}  // namespace testing
