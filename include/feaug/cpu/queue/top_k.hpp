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

/// A heap whose top is the lowest-ranked candidate, so k may be as large as the support. The
/// memory, k candidates, belongs to the caller.
class top_k {
 public:
  top_k() = default;
  top_k(candidate* memory, index_t k) : kept_(memory), k_(k) {}

  void offer(const candidate& next) {
    if (count_ == k_) {
      if (!ranks_before(next, kept_[0])) return;
      std::pop_heap(kept_, kept_ + count_, ranks_before);
      kept_[count_ - 1] = next;
    } else {
      kept_[count_++] = next;
    }
    std::push_heap(kept_, kept_ + count_, ranks_before);
  }

  /// Whether k candidates are kept, and the lowest-ranked of them.
  [[nodiscard]] bool is_full() const { return count_ == k_; }
  [[nodiscard]] const candidate& last() const { return kept_[0]; }

  /// The kept candidates in order of rank: k, or as many as were offered. No candidate may be
  /// offered afterwards.
  std::span<const candidate> ranked() {
    std::sort_heap(kept_, kept_ + count_, ranks_before);
    return {kept_, static_cast<std::size_t>(count_)};
  }

 private:
  candidate* kept_ = nullptr;
  index_t k_ = 0;
  index_t count_ = 0;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
