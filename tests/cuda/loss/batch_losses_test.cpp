// barlow_twins and vicreg on a GPU against the CPU's.
#include <catch2/catch.hpp>
#include <limits>
#include <string>
#include <vector>

#include "cuda/loss/two_operands.hpp"
#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cpu/loss/barlow_twins.hpp"
#include "feaug/cpu/loss/vicreg.hpp"
#include "feaug/cuda/loss/barlow_twins.cuh"
#include "feaug/cuda/loss/vicreg.cuh"
#include "support/message_of.hpp"

namespace batch_losses_test {

using device_test::check_close;
using device_test::device_array;
using device_test::device_copy;
using device_test::two_operands;
using feaug::gradient_mode;
using feaug::index_t;
using testing::test_matrix;

// (Kernels are not instantiated with types of a function or an unnamed namespace.)
struct sum_itself {
  FEAUG_HD double operator()(feaug::index_t, feaug::index_t, double sum) const { return sum; }
};

namespace {

constexpr auto none = gradient_mode::none;
constexpr auto overwrite = gradient_mode::overwrite;
constexpr auto add = gradient_mode::accumulate;

struct barlow_twins_loss {
  static constexpr feaug::barlow_twins_options options = {.lambda = 0.1, .gradient_scale = 3};
  static constexpr auto forward = [](auto&&... in) { feaug::barlow_twins(in...); };
  static constexpr auto backward = [](auto&&... in) { feaug::barlow_twins_backward(in...); };
  static constexpr auto at_once = [](auto&&... in) { feaug::barlow_twins_with_gradients(in...); };
};

struct vicreg_loss {
  static constexpr feaug::vicreg_options options = {.gradient_scale = 3};
  static constexpr auto forward = [](auto&&... in) { feaug::vicreg(in...); };
  static constexpr auto backward = [](auto&&... in) { feaug::vicreg_backward(in...); };
  static constexpr auto at_once = [](auto&&... in) { feaug::vicreg_with_gradients(in...); };
};

/// All three entries.
template <class T, class Loss>
void compare(const Loss& loss, index_t rows, index_t cols, gradient_mode a_mode,
             gradient_mode b_mode) {
  using C = feaug::compute_t<T>;
  CAPTURE(rows, cols);
  two_operands<T> a(test_matrix<T>::normal(rows, cols, 1, 1), a_mode);
  two_operands<T> b(test_matrix<T>::normal(rows, cols, 2), b_mode);
  std::vector<C> value(1);
  std::vector<C> cotangent(1, C(0.7));
  const device_array<C> device_value(value);
  const device_array<C> device_cotangent(cotangent);
  feaug::cpu_context cpu{.threads = 2};
  feaug::cuda_context gpu;
  const double tolerance = testing::tolerance<C>();
  const feaug::vector_view<C> to(value.data(), 1);
  const feaug::device_vector<C> device_to(device_value.data(), 1);
  loss.forward(cpu, a.host().value, b.host().value, to, loss.options);
  loss.forward(gpu, a.device().value, b.device().value, device_to, loss.options);
  check_close(device_value.to_host(), value, tolerance);
  loss.backward(cpu, a.host(), b.host(), feaug::vector_view<const C>(cotangent.data(), 1),
                loss.options);
  loss.backward(gpu, a.device(), b.device(),
                feaug::device_vector<const C>(device_cotangent.data(), 1), loss.options);
  a.check();
  b.check();
  loss.at_once(cpu, a.host(), b.host(), to, loss.options);
  loss.at_once(gpu, a.device(), b.device(), device_to, loss.options);
  check_close(device_value.to_host(), value, tolerance);
  a.check();
  b.check();
}

}  // namespace

TEMPLATE_TEST_CASE("losses of a batch's statistics are the CPU's", "[cuda][loss]",
                   barlow_twins_loss, vicreg_loss) {
  const TestType loss;
  compare<double>(loss, 2, 1, overwrite, overwrite);
  compare<double>(loss, 5, 7, overwrite, none);
  compare<double>(loss, 40, 67, none, add);
  compare<float>(loss, 70, 33, add, overwrite);
  compare<float>(loss, 6, 3, none, none);
  compare<feaug::half>(loss, 9, 5, overwrite, add);
  compare<feaug::bfloat16>(loss, 9, 5, overwrite, add);
}

TEST_CASE("moments on a GPU are the CPU's in strips of any size", "[cuda][loss]") {
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

TEMPLATE_TEST_CASE("losses of a batch's statistics: the same in every order of threads",
                   "[cuda][loss]", barlow_twins_loss, vicreg_loss) {
  const TestType loss;
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    const device_copy<float> a(test_matrix<float>::normal(20, 40, 1));
    const device_copy<float> b(test_matrix<float>::normal(20, 40, 2));
    const device_copy<float> da(test_matrix<float>(20, 40));
    const device_copy<float> db(test_matrix<float>(20, 40));
    const device_array<float> value({0});
    feaug::cuda_context gpu;
    loss.at_once(gpu, feaug::differentiable(a.view(), da.view()),
                 feaug::differentiable(b.view(), db.view()),
                 feaug::device_vector<float>(value.data(), 1), loss.options);
    std::vector<double> all = da.host().values();
    for (const double v : db.host().values()) all.push_back(v);
    all.push_back(static_cast<double>(value.to_host()[0]));
    if (first.empty()) first = all;
    CHECK(all == first);
  });
}

TEST_CASE("bad arguments of losses of a batch's statistics", "[cuda][loss]") {
  feaug::cuda_context gpu;
  const device_copy<float> z(test_matrix<float>::normal(4, 3, 1));
  const device_array<float> value({0});
  const feaug::device_vector<float> to(value.data(), 1);
  float on_host = 0;
  const feaug::device_vector<float> host_number(&on_host, 1);
  const auto one_row = z.view().rows_from(0, 1);
  const auto x = feaug::stop_gradient(z.view());
  using testing::message_of;
  const std::string no_device_memory =
      "got a pointer to ordinary host memory, wanted device memory";
  CHECK(message_of([&] { feaug::barlow_twins(gpu, z.view(), z.view(), host_number); }) ==
        "barlow_twins: loss: " + no_device_memory);
  CHECK(message_of([&] { feaug::vicreg(gpu, z.view(), z.view(), host_number); }) ==
        "vicreg: loss: " + no_device_memory);
  CHECK(message_of([&] { feaug::barlow_twins(gpu, one_row, one_row, to); }) ==
        "barlow_twins: a: got 1 row, wanted at least 2, since the loss is of statistics over rows");
  CHECK(message_of([&] { feaug::vicreg_with_gradients(gpu, x, x, to, {.eps = 0}); }) ==
        "vicreg_with_gradients: eps: got 0, wanted a finite number above 0");
  CHECK(message_of([&] { feaug::barlow_twins_backward(gpu, x, x, {}); }) ==
        "barlow_twins_backward: cotangent: got 0 elements, wanted 1 (the elements of the loss)");
  CHECK(message_of([&] { feaug::vicreg_backward(gpu, x, x, host_number); }) ==
        "vicreg_backward: cotangent: " + no_device_memory);
}

}  // namespace batch_losses_test
