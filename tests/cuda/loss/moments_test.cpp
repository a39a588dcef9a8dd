// Moments of features on a GPU compared with the CPU, in strips of any size.
#include <catch2/catch.hpp>
#include <vector>

#include "cuda/loss/two_operands.hpp"
#include "cuda/support/device_copy.hpp"
#include "feaug/cpu/loss/barlow_twins.hpp"
#include "feaug/cuda/loss/barlow_twins.cuh"

namespace moments_test {

using device_test::check_close;
using device_test::device_array;
using device_test::device_copy;
using feaug::index_t;
using testing::test_matrix;

// At namespace scope: kernels cannot be instantiated with local types or types of an unnamed
// namespace.
struct sum_itself {
  FEAUG_HD double operator()(feaug::index_t, feaug::index_t, double sum) const { return sum; }
};

TEST_CASE("moments on a GPU agree with the CPU for strips of any size", "[cuda][loss]") {
  const index_t rows = 9;
  const index_t cols = 37;
  const auto a = test_matrix<double>::normal(rows, cols, 1);
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  std::vector<double> mean(cols);
  std::vector<double> squares(cols);
  feaug::cpu::column_moments<double>(cpu, {.x = a.view()}, mean.data(), squares.data());
  const device_copy<double> device_a(a);
  const device_array<double> device_mean(mean);
  const device_array<double> device_squares(squares);
  {
    const feaug::cuda::operation call(gpu, "moments");
    feaug::cuda::column_moments<double>(call, {.x = device_a.const_view()}, device_mean.data(),
                                        device_squares.data());
  }
  check_close(device_mean.to_host(), mean, 1e-12);
  check_close(device_squares.to_host(), squares, 1e-12);

  const sum_itself gradient;
  std::vector<double> diagonal(cols);
  std::vector<double> off(cols);
  test_matrix<double> sums(rows, cols);
  const feaug::scaled_columns<double> x = {.x = a.view(), .mean = mean.data()};
  const feaug::detail::barlow_twins_measure measure = {
      .lambda = 0, .diagonal = diagonal.data(), .off = off.data(), .losses = nullptr};
  feaug::cpu::cross_moments_pass<double>(
      cpu, {.x = x, .y = x, .scale = 0.5, .strip_elements = 1000000}, measure,
      feaug::differentiable(a.view(), sums.view()), gradient);
  for (const index_t elements : {1, 5 * 37, 1000000}) {
    CAPTURE(elements);
    const device_array<double> device_diagonal(std::vector<double>(cols, 0.0));
    const device_array<double> device_off(std::vector<double>(cols, 0.0));
    const device_copy<double> device_sums(test_matrix<double>(rows, cols, 1));
    const feaug::cuda::device_columns<double> y = {.x = device_a.const_view(),
                                                   .mean = device_mean.data()};
    const feaug::detail::barlow_twins_measure device_measure = {.lambda = 0,
                                                                .diagonal = device_diagonal.data(),
                                                                .off = device_off.data(),
                                                                .losses = nullptr};
    feaug::cuda::cross_moments_pass<double>(
        gpu, "moments", {.x = y, .y = y, .scale = 0.5, .strip_elements = elements}, device_measure,
        feaug::differentiable(device_a.const_view(), device_sums.view()), gradient);
    check_close(device_diagonal.to_host(), diagonal, 1e-12);
    check_close(device_off.to_host(), off, 1e-12);
    CHECK(testing::relative_error(device_sums.host().values(), sums.values()) < 1e-12);
    CHECK(device_sums.host().padding_intact());
  }
}

}  // namespace moments_test
