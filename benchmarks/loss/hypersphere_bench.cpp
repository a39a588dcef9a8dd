// Benchmark W7: alignment and uniformity with both gradients, two views of 4096 rows of 128
// features.
#include "feaug/cpu/loss/hypersphere.hpp"
#include "support/contest.hpp"

namespace {

class sphere : public bench::own {
 public:
  using own::own;
  void run() override {
    loss_ = feaug::hypersphere_with_gradients(ctx_, feaug::differentiable(input(0), view(da_)),
                                              feaug::differentiable(input(1), view(db_)));
  }
  bench::answer result() override { return {.loss = loss_, .gradients = {da_, db_}}; }

 private:
  bench::matrix da_ = like(inputs_[0]);
  bench::matrix db_ = like(inputs_[1]);
  float loss_ = 0;
};

bench::workload two_views(bench::index_t rows, bench::index_t cols) {
  // Per view: half a product for the logits, which are symmetric, and one product for the gradient.
  const double product = 2.0 * static_cast<double>(rows * rows * cols);
  return {.name = "W7",
          .operation = "hypersphere",
          .inputs =
              [=] {
                const bench::matrix a = bench::features(rows, cols, 1);
                return std::vector{a, bench::other_view(a, 2)};
              },
          .enter = bench::enter<sphere>,
          .flops = 2 * 1.5 * product};
}

}  // namespace

void bench::register_benchmarks() { add(two_views(size(4096), 128)); }
