// The pruning state of one query: the score that a row must exceed, and the rows still to be
// scored.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>

#include "feaug/core/element.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/queue/exact_scan.hpp"
#include "feaug/cpu/queue/pruning/dot_in_float.hpp"
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

/// The same, also for 0.
inline float strictly_below(double x) { return below(x) - std::numeric_limits<float>::min(); }

/// What is quantized in place of a query: a vector times `scale`, whose products with those of rows
/// bound scores from above, but for `error` times the norms of both. Less `rest` times a factor of
/// the rows and the norms of both, they bound them from below.
template <element T>
struct coded_query {
  const T* vector;
  index_t cols;
  double scale = 1;
  double error = 0;
  double rest = 0;
};

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

  /// Returns Σ of the query's codes.
  template <element T, element E, class Write>
  std::int32_t begin(instruction_set instructions, const T* query, index_t cols,
                     const coded_query<E>& from, const similarity_range& range,
                     const Write& write) {
    const quantized_row coded = quantize_row(instructions, from.vector, from.cols, write);
    scanned_.norm = row_norm(query, cols);
    step_ = coded.step > 0 ? coded.step * from.scale : 1.0;
    // 2⁻²¹ of the product of the norms exceeds all rounding errors: of the products in float, of
    // the bounds, and of the scores in double.
    constexpr double up = 1.0 + 0x1p-20;
    const double norm = coded.length + coded.left_over;
    length_factor_ = static_cast<float>((coded.left_over + norm * (0x1p-21 + from.error)) * up);
    rest_factor_ = static_cast<float>(from.rest * norm * up);
    error_factor_ = static_cast<float>(coded.length * up);
    if (is_for_float(scanned_.norm)) {
      // In addition the refined score is rounded.
      const double error = dot_in_float_error(cols) + 0x1p-22;
      refined_factor_ = static_cast<float>(error * norm * up);
    }
    const double unit = std::max(scanned_.norm, default_norm_eps) / step_;
    if (range.has_floor()) {
      lowest_sure_ = -below(-range.floor * unit);
      bar_ = strictly_below(range.floor * unit);
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
  [[nodiscard]] float rest_factor() const { return rest_factor_; }
  scanned_query& scanned() { return scanned_; }

  /// k rows have at least the k-th largest of `count` ≥ k scores; these change their order.
  void raise_bar(float* scores, index_t count) {
    std::nth_element(scores, scores + (k_ - 1), scores + count, std::greater<>());
    bar_ = std::max(bar_, strictly_below(static_cast<double>(scores[k_ - 1])));
  }

  struct score_bounds {
    float lower;
    float upper;
  };

  /// Of a row, by the 8-bit product. `rest`: the factor of the rows, 0 for whole rows.
  [[nodiscard]] score_bounds bounds(float score, float length, float error, float rest) const {
    const float margin = length_factor_ * length + error_factor_ * error;
    return {score - (margin + rest_factor_ * rest * length), score + margin};
  }

  /// By the product in single precision, if its error is known; else the bounds that are given.
  template <element T>
  [[nodiscard]] score_bounds refined(instruction_set instructions, const search_space<T>& space,
                                     const T* query, index_t slot, float length,
                                     const score_bounds& given) const {
    if (refined_factor_ <= 0) return given;
    double inverse = 1.0;
    if (space.unit) {
      if (!is_for_float(static_cast<double>(length))) return given;
    } else {
      if (space.inverse_norms == nullptr) return given;
      inverse = space.inverse_norms[slot];
      if (!is_for_float(inverse)) return given;
    }
    const double dot = dot_in_float(instructions, query, space.rows.row(slot), space.rows.cols());
    const auto score = static_cast<float>(dot * inverse / step_);
    return {score - refined_factor_ * length, score + refined_factor_ * length};
  }

  /// Whether the row is not found.
  [[nodiscard]] bool excludes(const score_bounds& row) const {
    // Not for NaN: such a row is scored.
    return row.upper <= bar_ || row.lower > highest_possible_;
  }

  /// Adds a row that is not excluded. Returns whether the waiting list is full.
  bool wait(index_t slot, const score_bounds& row) {
    if (row.lower > lowers_[0] && row.lower >= lowest_sure_ && row.upper <= highest_sure_) {
      index_t at = 0;
      for (; at + 1 < k_ && lowers_[at + 1] < row.lower; ++at) lowers_[at] = lowers_[at + 1];
      lowers_[at] = row.lower;
      bar_ = std::max(bar_, lowers_[0]);
    }
    waiting_[waiting_count_++] = {.slot = slot, .upper = row.upper};
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
      const T* rows[query_lanes];
      for (index_t i = 0; i < count; ++i) rows[i] = space.rows.row(waiting_[first + i].slot);
      double dots[query_lanes];
      dots_with_rows(instructions, rows, count, query, space.rows.cols(), dots);
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

  static bool is_for_float(double norm) {
    return norm >= least_norm_in_float && norm <= largest_norm_in_float;
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
  float rest_factor_ = 0;
  float refined_factor_ = 0;  // 0: products in single precision are not used
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
