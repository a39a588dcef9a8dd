// Runs a CUDA kernel's own source on the CPU: every CUDA thread is a fiber, one block after
// another.
//
// What a GPU leaves open is chosen and repeatable (settings); what it forbids is reported as an
// error with the places in the kernel: barriers that only part of a block reaches or that differ,
// warp operations with wrong masks, deadlock. Shared memory begins as NaN. With ASan overruns are
// found, with TSan races between the threads of a block. Not seen: races between blocks, the
// hardware's memory order, the last bits of its approximate instructions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>

#include "vector_types.hpp"

/// Where the running CUDA thread is.
inline uint3 threadIdx{};
inline uint3 blockIdx{};
inline dim3 blockDim{};
inline dim3 gridDim{};
inline constexpr int warpSize = 32;

namespace simt {

/// A kernel did what a GPU forbids.
struct error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// When an asynchronous copy happens: when the thread begins it, or not before the thread waits for
/// it. A GPU does it in between: a kernel must be right with both.
enum class copy_time { at_once, as_late_as_possible };

/// The order in which threads of a block take turns, and blocks of a grid follow each other. In
/// the first three every thread gets its turn, as far as its next meeting with others; warp_by_warp
/// lets each warp, the last one first, run as far ahead of the others as barriers permit.
enum class schedule { forward, reverse, shuffled, warp_by_warp };

struct settings {
  schedule order = schedule::forward;
  unsigned seed = 1;  ///< of shuffled
  copy_time copies = copy_time::as_late_as_possible;
  std::size_t stack_bytes = 256 * 1024;  ///< a CUDA thread's
};

/// Those of the launches to come.
settings& current_settings();

/// What was run since the program began.
struct statistics {
  std::uint64_t launches = 0;
  std::uint64_t threads = 0;
  std::uint64_t block_barriers = 0;
  std::uint64_t warp_operations = 0;
};
const statistics& current_statistics();

/// Runs `thread` once for every thread of the grid. Throws simt::error.
void run_grid(dim3 grid, dim3 block, std::size_t dynamic_shared_bytes,
              const std::function<void()>& thread);

/// A place in a kernel's source.
struct place {
  const char* file = "";
  int line = 0;
};

/// What the lanes of a warp do together. Lanes that meet must do the same.
enum class warp_operation { synchronise, shuffle, vote, exchange };

// What the intrinsics are made of. All are called by a running CUDA thread.

/// Waits for the whole block; the number of threads whose `predicate` is not 0.
int block_barrier(int predicate, place at);
/// Waits for the lanes of `mask`; what each of them published. Lives until the warp meets again.
const std::uint64_t* warp_meeting(warp_operation operation, unsigned mask, std::uint64_t published,
                                  place at);
/// The most bytes that a lane hands to warp_exchange.
inline constexpr std::size_t exchange_bytes = 32;
/// Waits for all 32 lanes; what each handed in, copied, lane after lane exchange_bytes apart. Lives
/// until the warp has exchanged twice more.
const unsigned char* warp_exchange(const void* mine, std::size_t bytes, place at);
/// An asynchronous copy; `from` null: zeros.
void begin_copy(void* to, const void* from, std::size_t bytes);
/// Closes the group of the copies begun since the last one was closed.
void commit_copies();
/// After it the copies of all closed groups but the `pending` latest have happened.
void wait_for_copies(int pending);
/// The running thread's place in its warp.
int current_lane();
/// The launch's dynamic shared memory.
void* dynamic_shared_memory();
/// A block's variable that the kernel declares at `at`: the same memory for all threads, NaN at
/// first.
void* static_shared_memory(std::size_t bytes, std::size_t alignment, place at);

}  // namespace simt
