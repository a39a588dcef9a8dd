// Dot products of several queries with one support row, accumulated in double in index order, as
// the ranking requires.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>

#include "feaug/core/element.hpp"
#include "feaug/core/exact_dot.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// The number of queries scored at once. Each query's sum is in index order; vector instructions
/// work across the queries.
inline constexpr index_t query_lanes = 16;

/// Packs features first_feature … first_feature + features − 1 of `count` ≤ query_lanes queries,
/// starting at row `begin`: feature by feature, features × query_lanes doubles. Lanes without a
/// query are 0.
template <element T>
void pack_queries(const matrix_view<const T>& queries, index_t begin, index_t count,
                  index_t first_feature, index_t features, double* packed) {
  for (index_t lane = 0; lane < query_lanes; ++lane) {
    const T* query = lane < count ? queries.row(begin + lane) + first_feature : nullptr;
    for (index_t d = 0; d < features; ++d) {
      packed[d * query_lanes + lane] = query == nullptr ? 0.0 : static_cast<double>(load(query[d]));
    }
  }
}

/// dots[lane] += the dot products of the packed queries with `row`, in double in index order; both
/// start at the same feature. Limited by FLOP: query_lanes multiply-adds in double a feature.
template <element T>
void add_dots(const double* packed, const T* row, index_t features, double* dots) {
  double sums[query_lanes];
  for (index_t lane = 0; lane < query_lanes; ++lane) sums[lane] = dots[lane];
  for (index_t d = 0; d < features; ++d) {
    const auto x = static_cast<double>(load(row[d]));
    const double* queries = packed + d * query_lanes;
    for (index_t lane = 0; lane < query_lanes; ++lane) {
      if constexpr (std::same_as<T, double>) {
        sums[lane] = exact_multiply_add(sums[lane], x, queries[lane]);
      } else {
        sums[lane] += x * queries[lane];  // exact products, see exact_multiply_add
      }
    }
  }
  for (index_t lane = 0; lane < query_lanes; ++lane) dots[lane] = sums[lane];
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
