// Sums and maxima over arrays in sixteen lanes. Compilers may not reorder floating-point additions;
// here the order is written out, so that they can vectorise.
//
// The callback must load unconditionally and select afterwards. If a condition decides whether an
// array of doubles is loaded, g++ 12 -O3 miscompiles for AVX-512: the load of the second eight
// lanes gets the mask of the first eight.
#pragma once

#include "feaug/header_begin.hpp"

#include <limits>

#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

inline constexpr index_t lane_count = 16;

/// The largest multiple of the lane count that is ≤ count.
constexpr index_t in_full_lanes(index_t count) { return count / lane_count * lane_count; }

/// Calls act(j) for j < count, in runs of fixed length, which compilers vectorise even at -O2.
template <class Act>
void for_each_in_lanes(index_t count, const Act& act) {
  const index_t full = in_full_lanes(count);
  for (index_t j = 0; j < full; j += lane_count) {
    for (index_t lane = 0; lane < lane_count; ++lane) act(j + lane);
  }
  for (index_t j = full; j < count; ++j) act(j);
}

/// The largest number, ignoring NaN; −∞ if there is none.
template <class C>
C largest_of(const C* x, index_t count) {
  C lanes[lane_count];
  for (C& lane : lanes) lane = -std::numeric_limits<C>::infinity();
  const index_t full = in_full_lanes(count);
  for (index_t j = 0; j < full; j += lane_count) {
    for (index_t lane = 0; lane < lane_count; ++lane)
      lanes[lane] = x[j + lane] > lanes[lane] ? x[j + lane] : lanes[lane];
  }
  C largest = -std::numeric_limits<C>::infinity();
  for (index_t j = full; j < count; ++j) largest = x[j] > largest ? x[j] : largest;
  for (const C lane : lanes) largest = lane > largest ? lane : largest;
  return largest;
}

/// Σ term(j) for j < count: term j is added to lane j mod 16; the lanes are summed in double.
template <class C, class Term>
double sum_of_terms(index_t count, const Term& term) {
  C lanes[lane_count] = {};
  const index_t full = in_full_lanes(count);
  for (index_t j = 0; j < full; j += lane_count) {
    for (index_t lane = 0; lane < lane_count; ++lane) lanes[lane] += term(j + lane);
  }
  for (index_t j = full; j < count; ++j) lanes[j - full] += term(j);
  double sum = 0;
  for (const C lane : lanes) sum += static_cast<double>(lane);
  return sum;
}

/// Σ x
template <class C>
double sum_of(const C* x, index_t count) {
  return sum_of_terms<C>(count, [x](index_t j) { return x[j]; });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
