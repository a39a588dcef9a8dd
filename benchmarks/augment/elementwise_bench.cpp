// Benchmark W5: mask, noise and mixing of 8192 rows of 2048 features.
#include "feaug/cpu/augment/augmentation.hpp"
#include "feaug/cpu/augment/mask.hpp"
#include "feaug/cpu/augment/mix.hpp"
#include "feaug/cpu/augment/noise.hpp"
#include "support/contest.hpp"

namespace {

template <class Policy>
class augmented : public bench::own {
 public:
  using own::own;
  void run() override {
    feaug::augment(ctx_, Policy{}, input(0), feaug::random_key{.seed = 7}, view(out_));
  }
  bench::answer result() override {
    return {.moments = bench::moments_of_change(inputs_[0], out_)};
  }

 private:
  bench::matrix out_ = like(inputs_[0]);
};

template <class Policy>
bench::workload of_features(const std::string& name, int matrices) {
  const bench::index_t rows = bench::size(8192);
  constexpr bench::index_t cols = 2048;
  return {.name = "W5/" + name,
          .operation = name,
          .inputs = [=] { return std::vector{bench::features(rows, cols, 1)}; },
          .enter = bench::enter<augmented<Policy>>,
          .bytes = static_cast<double>(matrices * rows * cols) * sizeof(float),
          // Eight standard errors of the moments; --small has 128 rows.
          .tolerance = {.moments = bench::chosen().small ? 3e-2 : 3e-3}};
}

}  // namespace

void bench::register_benchmarks() {
  add(of_features<feaug::mask>("mask", 2));
  add(of_features<feaug::gaussian_noise>("noise", 2));
  add(of_features<feaug::interpolate>("interpolate", 3));  // reads the row and its partner's
}
