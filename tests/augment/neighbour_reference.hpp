// Reference of the neighbour policies, in plain loops over doubles: one sort for the slots, and one
// sort per coordinate for the trimmed mean.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "feaug/core/tensor_view.hpp"
#include "queue/nearest_reference.hpp"
#include "support/test_matrix.hpp"

namespace testing {

using rows_of_doubles = std::vector<std::vector<double>>;

template <class T>
rows_of_doubles rows_of(const test_matrix<T>& m) {
  rows_of_doubles rows;
  for (index_t i = 0; i < m.rows(); ++i) {
    rows.emplace_back();
    for (index_t j = 0; j < m.cols(); ++j) rows.back().push_back(m.get(i, j));
  }
  return rows;
}

inline std::vector<double> unit_of(std::vector<double> row) {
  const double norm = std::max(std::sqrt(reference_dot(row, row)), 1e-12);
  for (double& x : row) x /= norm;
  return row;
}

/// Options of the reference, for any neighbour policy.
struct neighbour_wish {
  index_t k = 1;
  index_t trim = 0;
  double floor = -std::numeric_limits<double>::infinity();
  double ceiling = std::numeric_limits<double>::infinity();
  index_t mutual = 0;
};

/// The slots of query i's neighbours, nearest first.
inline std::vector<std::int64_t> wished_slots(const rows_in_double& support,
                                              const rows_of_doubles& queries, std::size_t i,
                                              const neighbour_wish& wish,
                                              const std::int64_t* exclude = nullptr) {
  const auto all = static_cast<std::int64_t>(support.rows.size());
  const reference_neighbours ranked = nearest_reference(support, queries[i], all, exclude);
  std::vector<std::int64_t> slots;
  for (std::size_t r = 0; r < ranked.indices.size(); ++r) {
    const double cosine = ranked.similarities[r];
    if (ranked.indices[r] < 0 || cosine > wish.ceiling || cosine < wish.floor) continue;
    if (static_cast<index_t>(slots.size()) < wish.k) slots.push_back(ranked.indices[r]);
  }
  if (wish.mutual == 0) return slots;
  std::erase_if(slots, [&](std::int64_t slot) {
    const auto count = static_cast<std::int64_t>(queries.size());
    const reference_neighbours near_it =
        nearest_reference({.rows = queries}, support.rows[static_cast<std::size_t>(slot)],
                          std::min<std::int64_t>(wish.mutual, count));
    return std::find(near_it.indices.begin(), near_it.indices.end(),
                     static_cast<std::int64_t>(i)) == near_it.indices.end();
  });
  return slots;
}

/// The unit row of the trimmed mean of these slots' unit rows.
inline std::vector<double> made_of(const rows_in_double& support,
                                   const std::vector<std::int64_t>& slots, index_t trim) {
  rows_of_doubles rows;
  for (const std::int64_t slot : slots)
    rows.push_back(unit_of(support.rows[static_cast<std::size_t>(slot)]));
  const auto count = static_cast<index_t>(rows.size());
  const index_t out = std::min(trim, (count - 1) / 2);
  std::vector<double> mean;
  for (std::size_t j = 0; j < rows[0].size(); ++j) {
    std::vector<double> column;
    for (const auto& row : rows) column.push_back(row[j]);
    std::sort(column.begin(), column.end());
    double sum = 0;
    for (index_t r = out; r < count - out; ++r) sum += column[static_cast<std::size_t>(r)];
    mean.push_back(sum / static_cast<double>(count - 2 * out));
  }
  return unit_of(mean);
}

}  // namespace testing
