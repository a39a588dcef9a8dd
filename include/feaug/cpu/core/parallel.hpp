// How work is spread over a context's threads without a result depending on how many there are.
#pragma once

#include <algorithm>
#include <atomic>
#if defined(_OPENMP)
#include <omp.h>
#endif

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// How many workers `blocks` blocks of work are worth.
inline int worker_count(const cpu_context& ctx, index_t blocks) {
  return static_cast<int>(std::clamp<index_t>(blocks, 1, ctx.thread_count()));
}

/// While it lives, OpenMP has no further threads for the thread that made it. In a program compiled
/// with OpenMP Eigen would otherwise split every small product among a team of its own inside each
/// of our threads: many times slower, and with other bits. OpenMP keeps this number for each thread
/// apart, so nobody else's changes.
class one_openmp_thread {
#if defined(_OPENMP)
 public:
  one_openmp_thread() : before_(omp_get_max_threads()) { omp_set_num_threads(1); }
  one_openmp_thread(const one_openmp_thread&) = delete;
  one_openmp_thread& operator=(const one_openmp_thread&) = delete;
  ~one_openmp_thread() { omp_set_num_threads(before_); }

 private:
  int before_;
#endif
};

/// work(block, worker) for every block, each exactly once, in any order. Blocks are cut by shape
/// only and write disjoint memory, so it does not matter which worker (0 … worker_count − 1, for
/// its scratch) runs which.
template <class Work>
void for_each_block(cpu_context& ctx, index_t blocks, const Work& work) {
  const int workers = worker_count(ctx, blocks);
  if (workers == 1) {
    [[maybe_unused]] one_openmp_thread alone;
    for (index_t block = 0; block < blocks; ++block) work(block, 0);
    return;
  }
  std::atomic<index_t> next = 0;
  ctx.pool.run(workers, [&](int worker) {
    [[maybe_unused]] one_openmp_thread alone;
    for (index_t block = next++; block < blocks; block = next++) work(block, worker);
  });
}

/// work(first row, row count, worker) over blocks of rows: for operators that treat each row alone.
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
