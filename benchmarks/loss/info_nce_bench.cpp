// Benchmark W2: symmetric InfoNCE (CLIP), and InfoNCE in one direction, with the gradients of both
// sides, 8192 rows of 256 features.
#include "feaug/cpu/loss/info_nce.hpp"
#include "feaug/cpu/loss/symmetric_info_nce.hpp"
#include "support/contest.hpp"

namespace {

class both_sides : public bench::own {
 public:
  using own::own;
  bench::answer result() override { return {.loss = loss_, .gradients = {dq_, dk_}}; }

 protected:
  auto queries() { return feaug::differentiable(input(0), view(dq_)); }
  auto keys() { return feaug::differentiable(input(1), view(dk_)); }
  float loss_ = 0;

 private:
  bench::matrix dq_ = like(inputs_[0]);
  bench::matrix dk_ = like(inputs_[1]);
};

class clip : public both_sides {
 public:
  using both_sides::both_sides;
  void run() override {
    loss_ = feaug::symmetric_info_nce_with_gradients(ctx_, queries(), keys(),
                                                     {.temperature = temperature_});
  }
};

class one_way : public both_sides {
 public:
  using both_sides::both_sides;
  void run() override {
    loss_ = feaug::info_nce_with_gradients(ctx_, queries(), keys(), {.temperature = temperature_});
  }
};

template <class Own>
bench::workload pairs(const char* name, const char* operation, bench::index_t rows) {
  constexpr bench::index_t cols = 256;
  // One product for the logits and one for each gradient.
  return {.name = name,
          .operation = operation,
          .inputs =
              [=] {
                const bench::matrix queries = bench::features(rows, cols, 1);
                return std::vector{queries, bench::other_view(queries, 2)};
              },
          .enter = bench::enter<Own>,
          .flops = 3 * 2.0 * static_cast<double>(rows * rows * cols)};
}

bench::workload both_ways(bench::index_t rows) {
  return pairs<clip>("W2", "symmetric_info_nce", rows);
}

}  // namespace

void bench::register_benchmarks() {
  add(both_ways(size(8192)));
  add(pairs<one_way>("W2/one-way", "info_nce", size(8192)));
  add_series(both_ways, 32768);
}
