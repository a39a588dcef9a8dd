// Dot products of several queries with one support row, each exact in the sense that search promises.
#pragma once

#include <array>

#include "feaug/core/element.hpp"
#include "feaug/core/exact_dot.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// How many queries are scored at once. Each keeps its sum in index order, as the ranking demands; the vector unit works across them.
inline constexpr index_t query_lanes = 16;

/// Up to query_lanes queries, feature by feature. Lanes without a query are 0.
template <element T>
void pack_queries(const matrix_view<const T>& queries, index_t begin, index_t count, double* packed) {
  for (index_t d = 0; d < queries.cols(); ++d) {
    for (index_t lane = 0; lane < query_lanes; ++lane) {
      packed[d * query_lanes + lane] =
          lane < count ? static_cast<double>(load(queries(begin + lane, d))) : 0.0;
    }
  }
}

/// The dot products of the packed queries with a row, accumulated in double in index order.
template <element T>
std::array<double, query_lanes> score_row(const double* packed, const T* row, index_t cols) {
  std::array<double, query_lanes> sums = {};
  for (index_t d = 0; d < cols; ++d) {
    const auto x = static_cast<double>(load(row[d]));
    const double* queries = packed + d * query_lanes;
    for (std::size_t lane = 0; lane < query_lanes; ++lane) {
      if constexpr (std::same_as<T, double>) {
        sums[lane] = exact_multiply_add(sums[lane], x, queries[lane]);
      } else {
        sums[lane] += x * queries[lane];  // exact products: see exact_multiply_add
      }
    }
  }
  return sums;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu
