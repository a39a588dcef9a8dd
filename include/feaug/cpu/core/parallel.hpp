// Distribution of work over a context's threads; results do not depend on the number of threads.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/executor.hpp"
#include "feaug/cpu/core/first_exception.hpp"
#include "feaug/cpu/core/floating_point_control.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// The number of workers for `blocks` blocks of work.
inline int worker_count(const cpu_context& ctx, index_t blocks) {
  return static_cast<int>(std::clamp<index_t>(blocks, 1, ctx.thread_count()));
}

/// Calls work(number) for some or all of 0 … workers − 1, which do the whole work, on the threads of
/// the caller's executor or of the pool, all with the calling thread's floating-point control bits.
inline void run_on_threads(cpu_context& ctx, int workers, const worker_function& work) {
  if (!ctx.executor) return ctx.pool.run(workers, work);
  const floating_point_control control;
  first_exception failure;
  ctx.executor(workers, [&](int number) {
    failure.keep_of([&] {
      if (number < 0 || number >= workers)
        throw std::invalid_argument("cpu_context: executor: got worker " + std::to_string(number) +
                                    ", wanted 0 to " + std::to_string(workers - 1));
      const floating_point_scope as_the_caller(control);
      work(number);
    });
  });
  failure.rethrow();
}

/// Calls work(block, worker) exactly once for every block, in any order. Blocks depend only on the
/// shape and write disjoint memory, so results do not depend on which worker runs which block.
/// `worker` (0 … worker_count − 1) selects scratch memory.
template <class Work>
void for_each_block(cpu_context& ctx, index_t blocks, const Work& work) {
  const int workers = worker_count(ctx, blocks);
  if (workers == 1) {
    for (index_t block = 0; block < blocks; ++block) work(block, 0);
    return;
  }
  std::atomic<index_t> next = 0;
  run_on_threads(ctx, workers, [&](int worker) {
    for (index_t block = next++; block < blocks; block = next++) work(block, worker);
  });
  if (next < blocks)
    throw std::invalid_argument("cpu_context: executor: no worker was called, wanted one or more");
}

/// Calls work(first row, row count, worker) for blocks of rows: for operators that process each row
/// independently.
template <class Work>
void for_each_row_block(cpu_context& ctx, index_t rows, index_t cols, const Work& work) {
  constexpr index_t elements_per_block = 1 << 15;
  const index_t rows_per_block =
      std::max<index_t>(1, elements_per_block / std::max<index_t>(1, cols));
  const index_t blocks = (rows + rows_per_block - 1) / rows_per_block;
  for_each_block(ctx, blocks, [&](index_t block, int worker) {
    const index_t begin = block * rows_per_block;
    work(begin, std::min(rows_per_block, rows - begin), worker);
  });
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
