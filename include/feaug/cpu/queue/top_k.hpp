// The k first-ranked of any number of candidates.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cstddef>
#include <span>

#include "feaug/core/tensor_view.hpp"
#include "feaug/queue/ranking.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Few candidates are kept in order of rank. More are a heap whose top is the lowest-ranked, so k may
/// be as large as the support. The memory, k candidates, belongs to the caller.
class top_k {
 public:
  top_k() = default;
  top_k(candidate* memory, index_t k) : kept_(memory), k_(k) {}

  // Not inlined: clang++ 14 with -Ofast orders NaN wrongly in some callers, in spite of the pragma in
  // header_begin.hpp.
  [[gnu::noinline]] void offer(const candidate& next) {
    if (is_full() && !ranks_before(next, last())) return;
    is_in_order() ? insert(next) : push(next);
  }

  /// Whether k candidates are kept, and the lowest-ranked of them.
  [[nodiscard]] bool is_full() const { return count_ == k_; }
  [[nodiscard]] const candidate& last() const { return kept_[is_in_order() ? count_ - 1 : 0]; }

  /// The kept candidates in order of rank: k, or as many as were offered. No candidate may be
  /// offered afterwards.
  std::span<const candidate> ranked() {
    if (!is_in_order()) std::sort_heap(kept_, kept_ + count_, ranks_before);
    return {kept_, static_cast<std::size_t>(count_)};
  }

 private:
  // Up to this k, moving the lower-ranked is several times as fast as a heap.
  static constexpr index_t most_in_order = 32;

  [[nodiscard]] bool is_in_order() const { return k_ <= most_in_order; }

  /// Replaces the last if k are kept.
  void insert(const candidate& next) {
    index_t at = is_full() ? count_ - 1 : count_++;
    for (; at > 0 && ranks_before(next, kept_[at - 1]); --at) kept_[at] = kept_[at - 1];
    kept_[at] = next;
  }
  void push(const candidate& next) {
    if (is_full()) std::pop_heap(kept_, kept_ + count_--, ranks_before);
    kept_[count_++] = next;
    std::push_heap(kept_, kept_ + count_, ranks_before);
  }

  candidate* kept_ = nullptr;
  index_t k_ = 0;
  index_t count_ = 0;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
