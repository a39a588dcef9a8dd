// Which rows of a batch an augmentation treats: all of them, or those that one_of drew for it.
#pragma once

#include <cstdint>

#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/parallel.hpp"
#include "feaug/cpu/streaming.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Rows i with choice[i] == part; every row where there is no choice.
struct row_selection {
  const std::int32_t* choice = nullptr;
  std::int32_t part = 0;

  [[nodiscard]] bool all() const { return choice == nullptr; }
  [[nodiscard]] FEAUG_HD bool contains(index_t i) const {
    return choice == nullptr || choice[i] == part;
  }
};

namespace cpu {

/// work(i, worker) for every selected row, in parallel over blocks of rows.
template <class Work>
void for_each_row(cpu_context& ctx, index_t rows, index_t cols, const row_selection& selection,
                  const Work& work) {
  for_each_row_block(ctx, rows, cols, [&](index_t begin, index_t count, int worker) {
    for (index_t i = begin; i < begin + count; ++i) {
      if (selection.contains(i)) work(i, worker);
    }
    end_streaming();  // for work that did
  });
}

/// A row of `cols` numbers for every worker that for_each_row may use.
template <class C>
class row_buffers {
 public:
  row_buffers(const cpu_context& ctx, workspace::scope& scratch, index_t cols)
      : cols_(cols), memory_(scratch.take<C>(cols * ctx.thread_count())) {}

  [[nodiscard]] C* of(int worker) const { return memory_ + worker * cols_; }

 private:
  index_t cols_;
  C* memory_;
};

}  // namespace cpu
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
