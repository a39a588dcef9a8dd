// Benchmark W4: MoCo's loss with the queries' gradient; keys and 65536 negatives of 128 features
// are constants.
#include "feaug/cpu/loss/info_nce.hpp"
#include "support/contest.hpp"

namespace {

class moco : public bench::own {
 public:
  using own::own;
  void run() override {
    loss_ = feaug::info_nce_with_gradients(ctx_, feaug::differentiable(input(0), view(dq_)),
                                           feaug::stop_gradient(input(1)),
                                           {.temperature = temperature_,
                                            .in_batch_negatives = false,
                                            .negatives = feaug::stop_gradient(input(2))});
  }
  bench::answer result() override { return {.loss = loss_, .gradients = {dq_}}; }

 private:
  bench::matrix dq_ = like(inputs_[0]);
  float loss_ = 0;
};

bench::workload with_queue(const std::string& name, bench::index_t rows, bench::index_t negatives) {
  constexpr bench::index_t cols = 128;
  // One product for the logits and one for the gradient.
  return {.name = name,
          .operation = "moco",
          .inputs =
              [=] {
                const bench::matrix queries = bench::features(rows, cols, 1);
                return std::vector{queries, bench::unit_rows(bench::other_view(queries, 2)),
                                   bench::unit_rows(bench::features(negatives, cols, 3))};
              },
          .enter = bench::enter<moco>,
          .flops = 2 * 2.0 * static_cast<double>(rows * negatives * cols)};
}

}  // namespace

void bench::register_benchmarks() {
  for (const index_t rows : {256, 4096})
    add(with_queue("W4/" + std::to_string(rows), size(rows), size(65536)));
  add_series([](index_t negatives) { return with_queue("W4/256", 256, negatives); }, 1 << 20);
}
