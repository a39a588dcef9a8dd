// The executor: runs the source of a CUDA kernel on the CPU. Every CUDA thread is a fiber, and
// blocks run one after another.
//
// Where a GPU may choose an order, the settings choose one, reproducibly. What a GPU forbids is
// reported as an error with its place in the kernel: barriers that only part of a block reaches or
// that differ, warp operations with wrong masks, deadlock. Shared memory is filled with NaN. ASan
// finds overruns, TSan finds races between the threads of a block. Not detected: races between
// blocks, effects of the hardware's memory order, the last bits of its approximate instructions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <stdexcept>

#include "vector_types.hpp"

/// Indices of the running CUDA thread.
inline uint3 threadIdx{};
inline uint3 blockIdx{};
inline dim3 blockDim{};
inline dim3 gridDim{};
inline constexpr int warpSize = 32;

namespace simt {

/// Thrown if a kernel does what a GPU forbids.
struct error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// When an asynchronous copy is carried out: when the thread starts it, or when the thread waits
/// for it. A GPU does it at any time in between, so a kernel must be correct with both.
enum class copy_time { at_once, as_late_as_possible };

/// The order in which the threads of a block run, and the blocks of a grid. In the first three,
/// every thread in turn runs to its next barrier or warp operation. warp_by_warp begins with the
/// last warp and runs each warp as far ahead of the others as barriers permit.
enum class schedule { forward, reverse, shuffled, warp_by_warp };

struct settings {
  schedule order = schedule::forward;
  unsigned seed = 1;  ///< of shuffled
  copy_time copies = copy_time::as_late_as_possible;
  std::size_t stack_bytes = 256 * 1024;  ///< stack of a CUDA thread
};

/// Settings of future launches.
settings& current_settings();

/// Counts since the start of the program.
struct statistics {
  std::uint64_t launches = 0;
  std::uint64_t threads = 0;
  std::uint64_t block_barriers = 0;
  std::uint64_t warp_operations = 0;
  std::uint64_t asynchronous_copies = 0;
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

/// Operations that the lanes of a warp do together. All lanes that meet must do the same one.
enum class warp_operation { synchronise, shuffle, vote, exchange };

// Building blocks of the intrinsics. A running CUDA thread calls them.

/// Waits for the whole block; returns the number of threads whose `predicate` is not 0.
int block_barrier(int predicate, place at);
/// Waits for the lanes of `mask`; returns what each of them published, valid until the warp meets
/// again.
const std::uint64_t* warp_meeting(warp_operation operation, unsigned mask, std::uint64_t published,
                                  place at);
/// The most bytes that a lane can pass to warp_exchange.
inline constexpr std::size_t exchange_bytes = 32;
/// Waits for all 32 lanes; returns copies of what each lane passed, exchange_bytes apart in lane
/// order. Valid until the warp has exchanged twice more.
const unsigned char* warp_exchange(const void* mine, std::size_t bytes, place at);
/// Starts an asynchronous copy; null `from`: zeros.
void begin_copy(void* to, const void* from, std::size_t bytes);
/// Closes the group of the copies that were started since the last group was closed.
void commit_copies();
/// Carries out the copies of all closed groups except the `pending` latest.
void wait_for_copies(int pending);
/// Lane of the running thread in its warp.
int current_lane();
/// The launch's dynamic shared memory.
void* dynamic_shared_memory();
/// The shared variable that the kernel declares at `at`: the same memory for all threads of the
/// block, filled with NaN at first.
void* static_shared_memory(std::size_t bytes, std::size_t alignment, place at);

}  // namespace simt
