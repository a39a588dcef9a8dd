// Trains for a long time: feaug_soak [STEPS]. Four host threads, each with contexts of its own, train
// two copies of a small model. One goes on without interruption; the other is saved at random steps
// and restored into fresh memory and a fresh context. Their states must have the same bits all the
// time, and the process must not need more memory late than early.
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "soak/trainer.hpp"

namespace {

constexpr int host_threads = 4;

[[noreturn]] void fail(const std::string& what) {
  std::cerr << "feaug_soak: " << what << std::endl;
  std::_Exit(1);
}

/// The bytes that the process has allocated and not freed. Not its resident memory, which grows a
/// little longer, until the allocator has found places for all sizes.
std::size_t allocated() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

struct progress {
  std::atomic<std::uint64_t> steps{0};
  std::atomic<std::uint64_t> resumed{0};
};

void train(std::uint64_t seed, std::uint64_t steps, progress& all) {
  std::mt19937_64 generator(seed);
  soak::trainer steady(seed, 1);
  auto resumed = std::make_unique<soak::trainer>(seed, 2);
  for (std::uint64_t n = 0; n < steps; ++n) {
    steady.step();
    resumed->step();
    all.steps += 1;
    const std::string where = "seed " + std::to_string(seed) + ", step " + std::to_string(n) + ": ";
    if (!std::isfinite(steady.loss()) || steady.loss() != resumed->loss())
      fail(where + "losses " + std::to_string(steady.loss()) + " and " +
           std::to_string(resumed->loss()));
    if (generator() % 64 != 0) continue;
    if (!(steady.now() == resumed->now())) fail(where + "other bits than without resuming");
    const soak::state saved = resumed->now();
    resumed = std::make_unique<soak::trainer>(seed, static_cast<int>(1 + generator() % 3), saved);
    all.resumed += 1;
  }
  if (!(steady.now() == resumed->now()))
    fail("seed " + std::to_string(seed) + ": other bits at the end");
}

}  // namespace

int main(int count, char** words) {
  const std::uint64_t steps = count > 1 ? std::strtoull(words[1], nullptr, 10) : 1'000'000;
  if (steps < 10'000) fail("wants at least 10000 steps");
  mallopt(M_ARENA_MAX, 1);  // mallinfo2 counts one arena only
  progress all;
  std::vector<std::thread> threads;
  threads.reserve(host_threads);
  for (int i = 0; i < host_threads; ++i)
    threads.emplace_back(train, static_cast<std::uint64_t>(i) + 1, steps / host_threads,
                         std::ref(all));
  // The largest memory in the second fifth and in the last fifth of the steps.
  std::size_t early = 0;
  std::size_t late = 0;
  while (all.steps < steps / host_threads * host_threads) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const std::uint64_t done = all.steps * 5 / steps;
    if (done == 1) early = std::max(early, allocated());
    if (done == 4) late = std::max(late, allocated());
  }
  for (std::thread& one : threads) one.join();
  std::cout << all.steps << " steps in " << host_threads << " threads, " << all.resumed
            << " times resumed: the same bits; allocated " << early << " bytes early, " << late
            << " bytes late" << std::endl;
  if (early == 0 || late == 0) fail("too few steps to compare the memory");
  // Buffers grow to the largest shape since a resumption, and a later fifth may meet larger ones at the
  // same time. A leak of one allocation in a step would be megabytes.
  if (late > early + (256 << 10)) fail("memory grows");
  return 0;
}
