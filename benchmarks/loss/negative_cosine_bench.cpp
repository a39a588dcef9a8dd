// Benchmark W6: negative cosine (BYOL) with the prediction's gradient, four targets, 4096 rows of
// 256 features.
#include <array>

#include "feaug/cpu/loss/negative_cosine.hpp"
#include "support/contest.hpp"

namespace {

constexpr int targets = 4;

/// Inputs: the prediction, then the targets, which are constants.
class byol : public bench::own {
 public:
  using own::own;
  void run() override {
    std::array<feaug::operand<float>, targets> samples;
    for (std::size_t k = 0; k < samples.size(); ++k)
      samples[k] = feaug::stop_gradient(input(k + 1));
    feaug::negative_cosine_with_gradients(ctx_, feaug::differentiable(input(0), view(dp_)), samples,
                                          feaug::scalar(loss_), {.gradient_scale = 1.0 / targets});
    loss_ /= targets;
  }
  bench::answer result() override { return {.loss = loss_, .gradients = {dp_}}; }

 private:
  bench::matrix dp_ = like(inputs_[0]);
  float loss_ = 0;
};

bench::workload samples(bench::index_t rows) {
  constexpr bench::index_t cols = 256;
  return {.name = "W6",
          .operation = "negative_cosine",
          .inputs =
              [=] {
                std::vector all = {bench::features(rows, cols, 1)};
                for (std::uint32_t k = 0; k < targets; ++k)
                  all.push_back(bench::other_view(all[0], 2 + k));
                return all;
              },
          .enter = bench::enter<byol>,
          // The prediction, its gradient and the targets.
          .bytes = static_cast<double>((2 + targets) * rows * cols) * sizeof(float)};
}

}  // namespace

void bench::register_benchmarks() { add(samples(size(4096))); }
