// Loops over the rows that an augmentation treats, and scratch memory for them.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/non_temporal.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Calls work(i, worker) for every selected row, in parallel over blocks of rows.
template <class Work>
void for_each_row(cpu_context& ctx, index_t rows, index_t cols, const row_selection& selection,
                  const Work& work) {
  for_each_row_block(ctx, rows, cols, [&](index_t begin, index_t count, int worker) {
    for (index_t i = begin; i < begin + count; ++i) {
      if (selection.contains(i)) work(i, worker);
    }
    end_non_temporal();  // if work used non-temporal stores
  });
}

/// A row of `cols` numbers for every worker of for_each_row.
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

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
