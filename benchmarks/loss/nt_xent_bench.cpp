// Benchmark W1: NT-Xent (SimCLR) with both gradients, two views of 4096 rows of 128 features.
#include "feaug/cpu/loss/nt_xent.hpp"
#include "support/contest.hpp"

namespace {

class simclr : public bench::own {
 public:
  using own::own;
  void run() override {
    loss_ = feaug::nt_xent_with_gradients(ctx_, feaug::differentiable(input(0), view(da_)),
                                          feaug::differentiable(input(1), view(db_)),
                                          {.temperature = temperature_});
  }
  bench::answer result() override { return {.loss = loss_, .gradients = {da_, db_}}; }

 private:
  bench::matrix da_ = like(inputs_[0]);
  bench::matrix db_ = like(inputs_[1]);
  float loss_ = 0;
};

bench::workload two_views(bench::index_t rows, bench::index_t cols) {
  // Half a product for the logits, which are symmetric, and one product for the gradient.
  const double product = 2.0 * static_cast<double>(2 * rows * 2 * rows * cols);
  return {.name = "W1",
          .operation = "nt_xent",
          .inputs =
              [=] {
                const bench::matrix a = bench::features(rows, cols, 1);
                return std::vector{a, bench::other_view(a, 2)};
              },
          .enter = bench::enter<simclr>,
          .flops = 1.5 * product};
}

}  // namespace

void bench::register_benchmarks() {
  add(two_views(size(4096), 128));
  add_series([](index_t rows) { return two_views(rows, 128); }, 32768);
}
