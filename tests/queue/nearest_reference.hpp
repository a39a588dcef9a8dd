// Reference for exact nearest neighbours, in plain loops: dot products summed in index order, then
// one stable sort.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

namespace testing {

struct rows_in_double {
  std::vector<std::vector<double>> rows;
  bool unit = false;  // rows count as unit rows: the inverse norm is exactly 1
  std::vector<std::int64_t> ids{};
};

struct reference_neighbours {
  std::vector<std::int64_t> indices;
  std::vector<double> similarities;
};

inline double reference_dot(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t d = 0; d < a.size(); ++d) sum = std::fma(a[d], b[d], sum);
  return sum;
}

inline bool all_finite(const std::vector<double>& row) {
  return std::all_of(row.begin(), row.end(), [](double x) { return std::isfinite(x); });
}

/// Returns k entries. If there are fewer rows, the rest are −1 and NaN.
inline reference_neighbours nearest_reference(const rows_in_double& support,
                                              const std::vector<double>& query, std::int64_t k,
                                              const std::int64_t* exclude = nullptr) {
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();
  constexpr double eps = 1e-12;
  std::vector<double> scores;
  for (const std::vector<double>& row : support.rows) {
    const double inverse =
        support.unit ? 1.0 : 1.0 / std::max(std::sqrt(reference_dot(row, row)), eps);
    scores.push_back(all_finite(row) ? reference_dot(query, row) * inverse : nan);
  }
  std::vector<std::int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  const auto score = [&](std::int64_t slot) { return scores[static_cast<std::size_t>(slot)]; };
  if (exclude != nullptr) {
    std::erase_if(order, [&](std::int64_t slot) {
      return support.ids[static_cast<std::size_t>(slot)] == *exclude;
    });
  }
  if (!all_finite(query)) order.clear();
  // Stable: equal scores keep the order of the slots.
  std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
    return std::isnan(score(b)) ? !std::isnan(score(a)) : score(a) > score(b);
  });
  reference_neighbours found;
  const double norm = std::max(std::sqrt(reference_dot(query, query)), eps);
  for (std::size_t rank = 0; rank < static_cast<std::size_t>(k); ++rank) {
    const bool is_found = rank < order.size();
    found.indices.push_back(is_found ? order[rank] : -1);
    found.similarities.push_back(is_found ? score(order[rank]) / norm : nan);
  }
  return found;
}

}  // namespace testing
