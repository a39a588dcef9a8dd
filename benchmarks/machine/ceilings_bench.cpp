// The machine's ceilings: fused multiply-adds, int8 dot products, copying, and matrix products of
// the BLAS libraries.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>

#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "machine/ceilings.hpp"
#include "support/contest.hpp"

namespace {

using bench::index_t;

/// Runs Work on all threads at once; the fastest call counts.
template <class Work>
class on_every_thread : public bench::own {
 public:
  explicit on_every_thread(const bench::problem& on) : own(on), threads_(on.threads) {}
  void run() override {
    feaug::cpu::for_each_block(ctx_, threads_, [&](index_t i, int) { work_(i, threads_); });
  }
  bench::answer result() override { return {}; }

 private:
  index_t threads_;
  Work work_ = {};
};

constexpr std::int64_t rounds = 4'000'000;

struct multiply_add {
  void operator()(index_t, index_t) const { benchmark::DoNotOptimize(bench::ceiling::fma(rounds)); }
};

struct int8_dot {
  void operator()(index_t, index_t) const {
    benchmark::DoNotOptimize(bench::ceiling::int8_dot(rounds));
  }
};

/// Copies one thread's part of 128 MiB to another array.
class copy {
 public:
  static constexpr index_t count = index_t{32} << 20;
  copy() : from_(allocate()), to_(allocate()) {
    std::fill_n(from_.get(), count, 1.0F);
    std::fill_n(to_.get(), count, 0.0F);
  }
  void operator()(index_t i, index_t parts) const {
    const index_t part = count / parts / 16 * 16;
    bench::ceiling::copy(from_.get() + i * part, to_.get() + i * part, part);
  }

 private:
  struct freed {
    void operator()(float* memory) const { std::free(memory); }
  };
  using array = std::unique_ptr<float, freed>;
  static array allocate() {
    return array(static_cast<float*>(std::aligned_alloc(64, count * sizeof(float))));
  }
  array from_;
  array to_;
};

bench::workload product(index_t rows, index_t cols, index_t depth) {
  return {
      .name = "product/" + std::to_string(depth),
      .operation = "product",
      .inputs =
          [=] {
            return std::vector{bench::features(rows, depth, 1), bench::features(cols, depth, 2)};
          },
      .flops = 2.0 * static_cast<double>(rows * cols * depth)};
}

}  // namespace

void bench::register_benchmarks() {
  const double everybody = chosen().threads;
  add({.name = "fma",
       .enter = enter<on_every_thread<multiply_add>>,
       .flops = everybody * rounds * ceiling::fma_flops});
  if (ceiling::has_int8()) {
    add({.name = "int8",
         .enter = enter<on_every_thread<int8_dot>>,
         .flops = everybody * rounds * ceiling::int8_operations});
  }
  add({.name = "copy", .enter = enter<on_every_thread<copy>>, .bytes = 2.0 * 4 * copy::count});
  add(product(512, 65536, 128));
  add(product(512, 65536, 256));
}
