// The pruning state of one query: the score that a row must exceed, and the rows still to be
// scored.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "feaug/core/element.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/queue/exact_scan.hpp"
#include "feaug/cpu/queue/pruning/quantized_rows.hpp"
#include "feaug/cpu/queue/score_rows.hpp"
#include "feaug/cpu/queue/top_k.hpp"
#include "feaug/queue/ranking.hpp"
#include "feaug/queue/similarity_range.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// For larger k the exact scan is used.
inline constexpr index_t most_pruned_neighbours = 32;
/// The number of rows of a query that can wait to be scored, in addition to k.
inline constexpr index_t most_waiting_rows = 16;

/// Statistics of the pruning.
struct pruning_counts {
  index_t met = 0;       ///< (query, row) pairs that a block's bound did not exclude
  index_t scored = 0;    ///< (query, row) pairs scored in double
  index_t given_up = 0;  ///< queries for which the exact scan took over at some row
};

/// A row to be scored, with the upper bound of its score.
struct waiting_row {
  index_t slot;
  float upper;
};

/// A float that is below `x` (or equal for 0) by more than any rounding error.
inline float below(double x) {
  constexpr auto largest = static_cast<double>(std::numeric_limits<float>::max());
  return static_cast<float>(std::clamp(x - std::fabs(x) * 0x1p-20, -largest, largest));
}

/// All scores are in units of the query's quantization step. A row is pruned if its score is at
/// most `bar`: then k rows of lower slots rank before it, or it is below the floor.
class pruned_query {
 public:
  pruned_query() = default;

  /// The arrays, of k, k and k + most_waiting_rows elements, belong to the caller.
  pruned_query(candidate* kept, float* lowers, waiting_row* waiting, index_t k)
      : scanned_{.norm = 0, .best = {kept, k}}, lowers_(lowers), waiting_(waiting), k_(k) {
    std::fill_n(lowers_, k_, minus_infinity);
  }

  template <element T, class Write>
  std::int32_t begin(const T* query, index_t cols, const similarity_range& range,
                     const Write& write) {
    const quantized_row coded = quantize_row(query, cols, write);
    scanned_.norm = row_norm(query, cols);
    step_ = coded.step > 0 ? coded.step : 1.0;
    // 2⁻²¹ of the product of the norms exceeds all rounding errors: of the products in float, of
    // the bounds, and of the scores in double.
    constexpr double up = 1.0 + 0x1p-20;
    length_factor_ =
        static_cast<float>((coded.left_over + (coded.length + coded.left_over) * 0x1p-21) * up);
    error_factor_ = static_cast<float>(coded.length * up);
    const double unit = std::max(scanned_.norm, default_norm_eps) / step_;
    if (range.has_floor()) {
      lowest_sure_ = -below(-range.floor * unit);
      bar_ = below(range.floor * unit) - std::numeric_limits<float>::min();
    }
    if (range.has_ceiling()) {
      highest_sure_ = below(range.ceiling * unit);
      highest_possible_ = -below(-range.ceiling * unit);
    }
    return coded.sum;
  }

  [[nodiscard]] bool is_finite() const { return feaug::detail::is_finite(scanned_.norm); }
  [[nodiscard]] float bar() const { return bar_; }
  [[nodiscard]] float length_factor() const { return length_factor_; }
  [[nodiscard]] float error_factor() const { return error_factor_; }
  scanned_query& scanned() { return scanned_; }

  /// Processes a row that the bound of its block did not exclude. Returns whether the waiting list
  /// is full.
  bool meet(index_t slot, float score, float length, float error) {
    const float margin = length_factor_ * length + error_factor_ * error;
    const float upper = score + margin;
    const float lower = score - margin;
    if (upper <= bar_ || lower > highest_possible_) return false;  // false for NaN: it is scored
    if (lower > lowers_[0] && lower >= lowest_sure_ && upper <= highest_sure_) {
      index_t at = 0;
      for (; at + 1 < k_ && lowers_[at + 1] < lower; ++at) lowers_[at] = lowers_[at + 1];
      lowers_[at] = lower;
      bar_ = std::max(bar_, lowers_[0]);
    }
    waiting_[waiting_count_++] = {.slot = slot, .upper = upper};
    return waiting_count_ == k_ + most_waiting_rows;
  }

  /// Drops waiting rows whose upper bound has since fallen below the bar (not those equal to it:
  /// the rows that raised it may have higher slots). Returns whether at least half of the list is
  /// free.
  bool forget_some() {
    waiting_row* const end =
        std::remove_if(waiting_, waiting_ + waiting_count_,
                       [bar = bar_](const waiting_row& row) { return row.upper < bar; });
    waiting_count_ = end - waiting_;
    return waiting_count_ <= (k_ + most_waiting_rows) / 2;
  }

  /// Scores the waiting rows exactly like the exact scan. Returns how many were scored.
  template <element T>
  index_t score_waiting(instruction_set instructions, const search_space<T>& space,
                        const T* query) {
    forget_some();
    for (index_t first = 0; first < waiting_count_; first += query_lanes) {
      const index_t count = std::min(query_lanes, waiting_count_ - first);
      double dots[query_lanes] = {};
      add_dots_of(instructions, space, waiting_ + first, count, query, dots);
      for (index_t i = 0; i < count; ++i) offer(space, waiting_[first + i].slot, dots[i]);
    }
    const index_t scored = waiting_count_;
    waiting_count_ = 0;
    if (scanned_.best.is_full() && !feaug::detail::is_nan(scanned_.best.last().score))
      bar_ = std::max(bar_, below(scanned_.best.last().score / step_));
    return scored;
  }

 private:
  static constexpr float minus_infinity = -std::numeric_limits<float>::infinity();
  static constexpr float infinity = std::numeric_limits<float>::infinity();

  // Rows and query swap roles in add_dots; the products have the same bits either way.
  template <element T>
  static void add_dots_of(instruction_set instructions, const search_space<T>& space,
                          const waiting_row* waiting, index_t count, const T* query, double* dots) {
    constexpr index_t chunk = 64;
    double packed[chunk * query_lanes] = {};
    for (index_t begin = 0; begin < space.rows.cols(); begin += chunk) {
      const index_t features = std::min(chunk, space.rows.cols() - begin);
      for (index_t lane = 0; lane < count; ++lane) {
        const T* const row = space.rows.row(waiting[lane].slot) + begin;
        for (index_t d = 0; d < features; ++d)
          packed[d * query_lanes + lane] = static_cast<double>(load(row[d]));
      }
      add_dots(instructions, packed, query + begin, 0, 1, features, dots);
    }
  }

  template <element T>
  void offer(const search_space<T>& space, index_t slot, double dot) {
    const double score =
        space.unit ? unit_ranking_score(dot) : ranking_score(dot, inverse_norm_of(space, slot));
    if (!space.similarity.contains(score, scanned_.norm)) return;
    scanned_.best.offer({.score = score, .slot = slot});
  }

  scanned_query scanned_ = {};
  double step_ = 1;
  float bar_ = minus_infinity;
  float length_factor_ = 0;
  float error_factor_ = 0;
  float lowest_sure_ = minus_infinity;
  float highest_sure_ = infinity;
  float highest_possible_ = infinity;
  float* lowers_ = nullptr;  // the k largest lower bounds, ascending
  waiting_row* waiting_ = nullptr;
  index_t waiting_count_ = 0;
  index_t k_ = 0;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
