// Dot products of several queries with one support row, each exact in the sense that search
// promises.
#pragma once

#include <concepts>

#include "feaug/core/element.hpp"
#include "feaug/core/exact_dot.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// How many queries are scored at once. Each keeps its sum in index order, as the ranking demands;
/// the vector unit works across them.
inline constexpr index_t query_lanes = 16;

/// `count` ≤ query_lanes queries from row `begin`, features first_feature … first_feature +
/// features − 1, feature by feature: features × query_lanes doubles. Lanes without a query are 0.
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

/// dots[lane] += the products of the packed queries with `row`, in double in index order; both
/// begin at the same feature.
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
        sums[lane] += x * queries[lane];  // exact products: see exact_multiply_add
      }
    }
  }
  for (index_t lane = 0; lane < query_lanes; ++lane) dots[lane] = sums[lane];
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu
