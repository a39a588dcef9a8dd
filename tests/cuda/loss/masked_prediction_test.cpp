// masked_prediction on a GPU against the CPU's.
#include "feaug/cuda/loss/masked_prediction.cuh"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "cuda/loss/two_operands.hpp"
#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cpu/loss/masked_prediction.hpp"
#include "support/message_of.hpp"

namespace masked_prediction_test {

using device_test::check_close;
using device_test::device_array;
using device_test::device_copy;
using device_test::two_operands;
using feaug::gradient_mode;
using feaug::index_t;
using feaug::prediction_form;
using testing::test_matrix;

namespace {

constexpr auto none = gradient_mode::none;
constexpr auto overwrite = gradient_mode::overwrite;
constexpr auto add = gradient_mode::accumulate;
constexpr prediction_form forms[] = {prediction_form::smooth_l1, prediction_form::squared,
                                     prediction_form::cosine};
constexpr feaug::random_key key{.seed = 5, .step = 2, .stream = 3, .row_offset = 7};

/// All three entries, with the same mask on both sides.
template <class T, class Host, class Device>
void compare(const test_matrix<T>& first, const test_matrix<T>& second, const Host& host_mask,
             const Device& mask, gradient_mode p_mode, gradient_mode t_mode,
             feaug::reduce reduction, prediction_form form) {
  using C = feaug::compute_t<T>;
  const index_t rows = first.rows();
  CAPTURE(rows, first.cols(), static_cast<int>(reduction), static_cast<int>(form));
  two_operands<T> p(first, p_mode);
  two_operands<T> t(second, t_mode);
  const index_t outputs = reduction == feaug::reduce::none ? rows : 1;
  std::vector<C> loss(static_cast<std::size_t>(outputs));
  std::vector<C> weights;
  for (index_t i = 0; i < rows; ++i)
    weights.push_back(static_cast<C>(0.5 + 0.1 * static_cast<double>(i % 7)));
  const std::vector<C> cotangent(loss.size(), C(0.7));
  const device_array<C> device_loss(loss);
  const device_array<C> device_weights(weights);
  const device_array<C> device_cotangent(cotangent);
  const feaug::masked_prediction_options<T> host = {.form = form,
                                                    .beta = 0.75,
                                                    .reduction = reduction,
                                                    .gradient_scale = 3,
                                                    .row_weights = {weights.data(), rows}};
  const feaug::device_masked_prediction_options<T> device = {
      .form = form,
      .beta = 0.75,
      .reduction = reduction,
      .gradient_scale = 3,
      .row_weights = {device_weights.data(), rows}};
  feaug::cpu_context cpu{.threads = 2};
  feaug::cuda_context gpu;
  const feaug::vector_view<C> host_loss(loss.data(), outputs);
  const feaug::device_vector<C> loss_view(device_loss.data(), outputs);
  const auto check_all = [&] {
    p.check();
    t.check();
    check_close(device_loss.to_host(), loss, testing::tolerance<C>());
  };
  feaug::masked_prediction(cpu, p.host().value, t.host().value, host_mask, key, host_loss, host);
  feaug::masked_prediction(gpu, p.device().value, t.device().value, mask, key, loss_view, device);
  check_all();
  feaug::masked_prediction_backward(cpu, p.host(), t.host(), host_mask, key,
                                    {cotangent.data(), outputs}, host);
  feaug::masked_prediction_backward(gpu, p.device(), t.device(), mask, key,
                                    feaug::device_vector<const C>(device_cotangent.data(), outputs),
                                    device);
  check_all();
  feaug::masked_prediction_with_gradients(cpu, p.host(), t.host(), host_mask, key, host_loss, host);
  feaug::masked_prediction_with_gradients(gpu, p.device(), t.device(), mask, key, loss_view,
                                          device);
  check_all();
}

template <class T, class P>
void compare_drawn(index_t rows, index_t cols, const P& policy, gradient_mode p_mode,
                   gradient_mode t_mode, feaug::reduce reduction) {
  for (const prediction_form form : forms)
    compare(test_matrix<T>::normal(rows, cols, 1, 1), test_matrix<T>::normal(rows, cols, 2), policy,
            policy, p_mode, t_mode, reduction, form);
}

}  // namespace

TEMPLATE_TEST_CASE("masked_prediction is the CPU's", "[cuda][loss]", double, float) {
  using T = TestType;
  const feaug::mask half{.keep_probability = 0.5F};
  for (const auto reduction : {feaug::reduce::mean, feaug::reduce::none}) {
    compare_drawn<T>(1, 1, feaug::mask{.keep_probability = 0}, overwrite, overwrite, reduction);
    compare_drawn<T>(5, 7, half, overwrite, none, reduction);
    compare_drawn<T>(33, 140, half, add, overwrite, reduction);
    compare_drawn<T>(4, 6, half, none, none, reduction);
    compare_drawn<T>(6, 3, feaug::mask{.keep_probability = 1}, overwrite, add, reduction);
  }
}

TEST_CASE("masked_prediction draws every mask as the CPU does", "[cuda][loss]") {
  compare_drawn<float>(9, 10, feaug::fixed_count_mask{.keep_count = 6}, overwrite, add,
                       feaug::reduce::mean);
  compare_drawn<float>(9, 10, feaug::block_mask{.block_length = 4}, overwrite, add,
                       feaug::reduce::mean);
}

TEMPLATE_TEST_CASE("masked_prediction by a given mask", "[cuda][loss]", feaug::half,
                   feaug::bfloat16, double) {
  using T = TestType;
  test_matrix<T> keep(7, 9, 1);
  feaug::cpu_context cpu;
  feaug::draw(cpu, feaug::mask{.keep_probability = 0.5F}, key, keep.view());
  keep.fill_row(3, 1);
  const device_copy<T> device_keep(keep);
  for (const prediction_form form : forms) {
    compare(test_matrix<T>::normal(7, 9, 1), test_matrix<T>::normal(7, 9, 2),
            feaug::drawn_mask(keep.view()), feaug::drawn_mask(device_keep.view()), overwrite, add,
            feaug::reduce::mean, form);
  }
}

TEST_CASE("masked_prediction at the edges", "[cuda][loss]") {
  const double not_a_number = std::numeric_limits<double>::quiet_NaN();
  test_matrix<double> keep(6, 5);
  keep.fill_row(1, 1);
  keep.set(2, 2, 1);
  const device_copy<double> device_keep(keep);
  for (const auto reduction : {feaug::reduce::mean, feaug::reduce::none}) {
    for (const prediction_form form : forms) {
      auto p = test_matrix<double>::normal(6, 5, 1);
      auto t = test_matrix<double>::normal(6, 5, 2);
      const auto run = [&] {
        compare(p, t, feaug::drawn_mask(keep.view()), feaug::drawn_mask(device_keep.view()),
                overwrite, overwrite, reduction, form);
      };
      p.fill_row(0, 0);
      t.fill_row(3, 0);
      p.set(1, 1, not_a_number);  // kept: not read
      p.set(2, 2, not_a_number);
      run();
      // 1e200² is more than a double holds.
      if (form == prediction_form::cosine) {
        p.fill_row(4, 1e200);
        p.set(4, 1, -2e200);
        t.fill_row(5, 1e-200);
        run();
      }
      p.set(5, 3, not_a_number);
      run();
      p.set(5, 3, 1);
      t.set(5, 0, std::numeric_limits<double>::infinity());
      run();
    }
  }
}

TEST_CASE("masked_prediction is the same bits in every order of threads", "[cuda][loss]") {
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    std::vector<double> all;
    for (const prediction_form form : forms) {
      const device_copy<float> p(test_matrix<float>::normal(40, 37, 1));
      const device_copy<float> t(test_matrix<float>::normal(40, 37, 2));
      const device_copy<float> d_p(test_matrix<float>(40, 37));
      const device_array<float> loss({0});
      feaug::cuda_context gpu;
      feaug::masked_prediction_with_gradients(
          gpu, feaug::differentiable(p.view(), d_p.view()), feaug::stop_gradient(t.view()),
          feaug::mask{.keep_probability = 0.5F}, key, feaug::device_vector<float>(loss.data(), 1),
          {.form = form});
      for (const double x : d_p.host().values()) all.push_back(x);
      all.push_back(static_cast<double>(loss.to_host()[0]));
    }
    if (first.empty()) first = all;
    CHECK(all == first);
  });
}

TEST_CASE("bad arguments of masked_prediction", "[cuda][loss]") {
  feaug::cuda_context gpu;
  auto host = test_matrix<float>::normal(4, 3, 1);
  const device_copy<float> x(host);
  const device_array<float> loss({0});
  const feaug::device_vector<float> to(loss.data(), 1);
  const feaug::device_matrix<float> on_host(host.view().data, 4, 3);
  const std::string wanted = ": got a pointer to ordinary host memory, wanted device memory";
  CHECK(testing::message_of([&] {
          feaug::masked_prediction(gpu, x.view(), on_host, feaug::mask{}, key, to);
        }) == "masked_prediction: target" + wanted);
  CHECK(testing::message_of([&] {
          feaug::masked_prediction(gpu, x.view(), x.view(), feaug::drawn_mask(on_host), key, to);
        }) == "masked_prediction: keep" + wanted);
  CHECK(testing::message_of([&] {
          feaug::masked_prediction(gpu, x.view(), x.view(), feaug::mask{}, key, to, {.beta = -1});
        }) == "masked_prediction: beta: got -1, wanted a finite number of at least 0");
}

}  // namespace masked_prediction_test
