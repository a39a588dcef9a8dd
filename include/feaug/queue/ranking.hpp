// Which of two support rows is nearer: the one rule that every search, on every backend, ranks by.
#pragma once

#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// A support row and its score for one query.
struct candidate {
  double score;
  index_t slot;
};

/// The larger score first, equal scores by the lower slot; NaN after every number, and among NaNs again the lower slot.
FEAUG_HD constexpr bool ranks_before(const candidate& a, const candidate& b) {
  const bool a_is_nan = a.score != a.score;
  const bool b_is_nan = b.score != b.score;
  if (a_is_nan != b_is_nan) return b_is_nan;
  if (!a_is_nan && a.score != b.score) return a.score > b.score;
  return a.slot < b.slot;
}

/// The k first of the candidates that were offered, in order. Its memory is the caller's.
class top_k {
 public:
  FEAUG_HD top_k(candidate* memory, index_t k) : best_(memory), k_(k) {}

  FEAUG_HD void offer(const candidate& next) {
    if (count_ == k_ && !ranks_before(next, best_[k_ - 1])) return;
    index_t at = count_ < k_ ? count_++ : k_ - 1;
    for (; at > 0 && ranks_before(next, best_[at - 1]); --at) best_[at] = best_[at - 1];
    best_[at] = next;
  }

  [[nodiscard]] FEAUG_HD index_t count() const { return count_; }
  FEAUG_HD const candidate& operator[](index_t rank) const { return best_[rank]; }

 private:
  candidate* best_;
  index_t k_;
  index_t count_ = 0;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
