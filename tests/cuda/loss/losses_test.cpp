// The losses on a GPU against the CPU's: every entry, both sides stopped and not, more than one
// tile of logits, all element types, NaN, the temperature in device memory.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "cuda/loss/two_operands.hpp"
#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cpu/loss/info_nce.hpp"
#include "feaug/cpu/loss/negative_cosine.hpp"
#include "feaug/cpu/loss/nt_xent.hpp"
#include "feaug/cpu/loss/symmetric_info_nce.hpp"
#include "feaug/cuda/loss/info_nce.cuh"
#include "feaug/cuda/loss/negative_cosine.cuh"
#include "feaug/cuda/loss/nt_xent.cuh"
#include "feaug/cuda/loss/symmetric_info_nce.cuh"
#include "support/message_of.hpp"

namespace losses_test {

using device_test::check_close;
using device_test::device_array;
using device_test::device_copy;
using device_test::two_operands;
using feaug::gradient_mode;
using feaug::index_t;
using testing::test_matrix;

namespace {

/// info_nce both ways: forward and backward from its statistics, and with gradients.
template <class T>
void compare_info_nce(index_t rows, index_t keys, index_t negatives, index_t cols,
                      const gradient_mode (&modes)[3], feaug::reduce reduction,
                      bool in_batch_negatives, bool normalize = true) {
  using C = feaug::compute_t<T>;
  CAPTURE(rows, keys, negatives, cols, in_batch_negatives, normalize);
  two_operands<T> q(test_matrix<T>::normal(rows, cols, 1, 1), modes[0]);
  two_operands<T> k(test_matrix<T>::normal(keys, cols, 2), modes[1]);
  two_operands<T> n(test_matrix<T>::normal(negatives, cols, 3, 2),
                    negatives == 0 ? gradient_mode::none : modes[2]);
  const index_t outputs = reduction == feaug::reduce::none ? rows : 1;
  std::vector<C> tau = {C(0.3), C(7)};
  const device_array<C> device_tau(tau);
  std::vector<C> loss(static_cast<std::size_t>(outputs));
  std::vector<C> statistics(static_cast<std::size_t>(rows));
  std::vector<C> weights;
  for (index_t i = 0; i < rows; ++i)
    weights.push_back(static_cast<C>(0.5 + 0.1 * static_cast<double>(i % 7)));
  std::vector<C> cotangent(loss.size(), C(0.7));
  const device_array<C> device_loss(loss);
  const device_array<C> device_statistics(statistics);
  const device_array<C> device_weights(weights);
  const device_array<C> device_cotangent(cotangent);

  feaug::info_nce_options<T> host = {.reduction = reduction,
                                     .positive_offset = keys - rows,
                                     .in_batch_negatives = in_batch_negatives,
                                     .normalize = normalize,
                                     .negatives = n.host(),
                                     .gradient_scale = 3,
                                     .row_weights = {weights.data(), rows}};
  host.learnable_temperature = feaug::accumulate(feaug::vector_view<C>(tau.data(), 1),
                                                 feaug::vector_view<C>(tau.data() + 1, 1));
  feaug::device_info_nce_options<T> device = {.reduction = reduction,
                                              .positive_offset = keys - rows,
                                              .in_batch_negatives = in_batch_negatives,
                                              .normalize = normalize,
                                              .negatives = n.device(),
                                              .gradient_scale = 3,
                                              .row_weights = {device_weights.data(), rows}};
  device.learnable_temperature =
      feaug::accumulate(feaug::device_vector<C>(device_tau.data(), 1),
                        feaug::device_vector<C>(device_tau.data() + 1, 1));
  feaug::cpu_context cpu{.threads = 2};
  feaug::cuda_context gpu;
  const double tolerance = testing::tolerance<C>();
  const feaug::vector_view<C> host_loss(loss.data(), outputs);
  const feaug::device_vector<C> loss_view(device_loss.data(), outputs);
  const feaug::device_vector<C> statistics_view(device_statistics.data(), rows);

  feaug::info_nce(cpu, q.host().value, k.host().value, host_loss, host, {statistics.data(), rows});
  feaug::info_nce(gpu, q.device().value, k.device().value, loss_view, device, statistics_view);
  check_close(device_loss.to_host(), loss, tolerance);
  check_close(device_statistics.to_host(), statistics, tolerance);

  feaug::info_nce_backward(cpu, q.host(), k.host(), {statistics.data(), rows},
                           {cotangent.data(), outputs}, host);
  feaug::info_nce_backward(gpu, q.device(), k.device(), statistics_view,
                           feaug::device_vector<const C>(device_cotangent.data(), outputs), device);
  const auto check_gradients = [&] {
    q.check();
    k.check();
    n.check();
    check_close(device_tau.to_host(), tau, 10 * tolerance);
  };
  check_gradients();
  feaug::info_nce_with_gradients(cpu, q.host(), k.host(), host_loss, host);
  feaug::info_nce_with_gradients(gpu, q.device(), k.device(), loss_view, device);
  check_close(device_loss.to_host(), loss, tolerance);
  check_gradients();
}

constexpr auto none = gradient_mode::none;
constexpr auto overwrite = gradient_mode::overwrite;
constexpr auto add = gradient_mode::accumulate;

/// A two-view loss by its three entries, named by the callables.
template <class T, class HostOptions, class DeviceOptions, class Forward, class Backward,
          class WithGradients>
void compare_two_views(index_t rows, index_t cols, gradient_mode a_mode, gradient_mode b_mode,
                       const HostOptions& host, const DeviceOptions& device, index_t losses,
                       const Forward& forward, const Backward& backward,
                       const WithGradients& with_gradients) {
  using C = feaug::compute_t<T>;
  CAPTURE(rows, cols);
  two_operands<T> a(test_matrix<T>::normal(rows, cols, 1, 1), a_mode);
  two_operands<T> b(test_matrix<T>::normal(rows, cols, 2), b_mode);
  const index_t outputs = host.reduction == feaug::reduce::none ? losses : 1;
  std::vector<C> loss(static_cast<std::size_t>(outputs));
  std::vector<C> statistics(static_cast<std::size_t>(2 * rows));
  std::vector<C> cotangent(loss.size(), C(1.5));
  const device_array<C> device_loss(loss);
  const device_array<C> device_statistics(statistics);
  const device_array<C> device_cotangent(cotangent);
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  const feaug::vector_view<C> host_loss(loss.data(), outputs);
  const feaug::vector_view<C> host_statistics(statistics.data(), 2 * rows);
  const feaug::device_vector<C> loss_view(device_loss.data(), outputs);
  const feaug::device_vector<C> statistics_view(device_statistics.data(), 2 * rows);
  forward(cpu, a.host().value, b.host().value, host_loss, host, host_statistics);
  forward(gpu, a.device().value, b.device().value, loss_view, device, statistics_view);
  check_close(device_loss.to_host(), loss, testing::tolerance<C>());
  backward(cpu, a.host(), b.host(), feaug::vector_view<const C>(host_statistics),
           feaug::vector_view<const C>(cotangent.data(), outputs), host);
  backward(gpu, a.device(), b.device(), feaug::device_vector<const C>(statistics_view),
           feaug::device_vector<const C>(device_cotangent.data(), outputs), device);
  a.check();
  b.check();
  with_gradients(cpu, a.host(), b.host(), host_loss, host);
  with_gradients(gpu, a.device(), b.device(), loss_view, device);
  check_close(device_loss.to_host(), loss, testing::tolerance<C>());
  a.check();
  b.check();
}

}  // namespace

TEMPLATE_TEST_CASE("info_nce is the CPU's", "[cuda][loss]", double, float, feaug::half,
                   feaug::bfloat16) {
  using T = TestType;
  for (const auto reduction : {feaug::reduce::mean, feaug::reduce::none}) {
    compare_info_nce<T>(1, 1, 0, 1, {overwrite, overwrite, none}, reduction, true);
    compare_info_nce<T>(5, 9, 0, 7, {overwrite, none, none}, reduction, true);
    compare_info_nce<T>(70, 75, 33, 19, {none, add, overwrite}, reduction, true);
    compare_info_nce<T>(70, 75, 33, 19, {add, overwrite, none}, reduction, false);
    compare_info_nce<T>(6, 6, 3, 40, {overwrite, overwrite, overwrite}, reduction, true, false);
    compare_info_nce<T>(3, 3, 0, 4, {overwrite, overwrite, none}, reduction, false);
  }
}

TEST_CASE("logits of several tiles", "[cuda][loss]") {
  // 8192 columns and 512 rows are a tile.
  compare_info_nce<float>(515, 515, 7700, 3, {overwrite, overwrite, none}, feaug::reduce::mean,
                          true);
}

TEMPLATE_TEST_CASE("two-view losses are the CPU's", "[cuda][loss]", double, float, feaug::half,
                   feaug::bfloat16) {
  using T = TestType;
  for (const auto reduction : {feaug::reduce::sum, feaug::reduce::none}) {
    for (const index_t rows : {2, 41}) {
      for (const bool decoupled : {false, true}) {
        compare_two_views<T>(
            rows, 9, overwrite, decoupled ? none : add,
            feaug::nt_xent_options<T>{.reduction = reduction, .decoupled = decoupled},
            feaug::device_nt_xent_options<T>{.reduction = reduction, .decoupled = decoupled},
            2 * rows, [](auto& ctx, const auto&... x) { feaug::nt_xent(ctx, x...); },
            [](auto& ctx, const auto&... x) { feaug::nt_xent_backward(ctx, x...); },
            [](auto& ctx, const auto&... x) { feaug::nt_xent_with_gradients(ctx, x...); });
      }
      compare_two_views<T>(
          rows, 9, add, overwrite,
          feaug::nt_xent_options<T>{
              .reduction = reduction, .decoupled = true, .positive_weighting = 0.5},
          feaug::device_nt_xent_options<T>{
              .reduction = reduction, .decoupled = true, .positive_weighting = 0.5},
          2 * rows, [](auto& ctx, const auto&... x) { feaug::nt_xent(ctx, x...); },
          [](auto& ctx, const auto&... x) { feaug::nt_xent_backward(ctx, x...); },
          [](auto& ctx, const auto&... x) { feaug::nt_xent_with_gradients(ctx, x...); });
      compare_two_views<T>(
          rows, 33, overwrite, overwrite,
          feaug::symmetric_info_nce_options<T>{.reduction = reduction},
          feaug::device_symmetric_info_nce_options<T>{.reduction = reduction}, rows,
          [](auto& ctx, const auto&... x) { feaug::symmetric_info_nce(ctx, x...); },
          [](auto& ctx, const auto&... x) { feaug::symmetric_info_nce_backward(ctx, x...); },
          [](auto& ctx, const auto&... x) { feaug::symmetric_info_nce_with_gradients(ctx, x...); });
    }
  }
}

TEMPLATE_TEST_CASE("negative_cosine is the CPU's", "[cuda][loss]", double, float, feaug::half,
                   feaug::bfloat16) {
  using T = TestType;
  using C = feaug::compute_t<T>;
  for (const auto form : {feaug::cosine_form::byol, feaug::cosine_form::simsiam}) {
    auto p = test_matrix<T>::normal(37, 45, 1, 1);
    auto t = test_matrix<T>::normal(37, 45, 2);
    p.fill_row(4, 0);
    // Squares of such doubles leave their range.
    for (index_t j = 0; j < 45; ++j)
      t.set(8, j, (std::is_same_v<T, double> ? 1e200 : 7) * t.get(8, j));
    t.set(6, 3, std::numeric_limits<double>::quiet_NaN());
    two_operands<T> prediction(p, overwrite);
    two_operands<T> target(t, add);
    std::vector<C> loss(37);
    const device_array<C> device_loss(loss);
    feaug::cpu_context cpu{.threads = 1};
    feaug::cuda_context gpu;
    feaug::negative_cosine_with_gradients(cpu, prediction.host(), target.host(),
                                          feaug::vector_view<C>(loss.data(), 37),
                                          {.form = form, .reduction = feaug::reduce::none});
    feaug::negative_cosine_with_gradients(gpu, prediction.device(), target.device(),
                                          feaug::device_vector<C>(device_loss.data(), 37),
                                          {.form = form, .reduction = feaug::reduce::none});
    check_close(device_loss.to_host(), loss, testing::tolerance<C>());
    prediction.check();
    target.check();
  }
}

TEST_CASE("negative_cosine of several targets is the CPU's", "[cuda][loss]") {
  two_operands<float> prediction(test_matrix<float>::normal(37, 45, 1, 1), overwrite);
  two_operands<float> first(test_matrix<float>::normal(37, 45, 2), gradient_mode::none);
  two_operands<float> second(test_matrix<float>::normal(37, 45, 3, 2), add);
  const std::vector<feaug::operand<float>> targets = {first.host(), second.host(), first.host()};
  const std::vector<feaug::operand<float, 2, feaug::memory_space::device>> device_targets = {
      first.device(), second.device(), first.device()};
  std::vector<float> loss(37);
  const device_array<float> device_loss(loss);
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  feaug::negative_cosine_with_gradients(cpu, prediction.host(), targets,
                                        feaug::vector_view<float>(loss.data(), 37),
                                        {.reduction = feaug::reduce::none});
  feaug::negative_cosine_with_gradients(gpu, prediction.device(), device_targets,
                                        feaug::device_vector<float>(device_loss.data(), 37),
                                        {.reduction = feaug::reduce::none});
  check_close(device_loss.to_host(), loss, testing::tolerance<float>());
  prediction.check();
  second.check();
  const std::vector<float> cotangent = {2.0F};
  const device_array<float> device_cotangent(cotangent);
  feaug::negative_cosine_backward(cpu, prediction.host(), targets,
                                  feaug::vector_view<const float>(cotangent.data(), 1));
  feaug::negative_cosine_backward(gpu, prediction.device(), device_targets,
                                  feaug::device_vector<const float>(device_cotangent.data(), 1));
  prediction.check();
  second.check();
}

TEST_CASE("NaN reaches what reads it, and nothing else", "[cuda][loss]") {
  auto q = test_matrix<float>::normal(5, 6, 1);
  q.set(2, 0, std::numeric_limits<double>::quiet_NaN());
  const device_copy<float> queries(q);
  const device_copy<float> keys(test_matrix<float>::normal(5, 6, 2));
  const device_array<float> loss({0, 0, 0, 0, 0});
  feaug::cuda_context gpu;
  const feaug::device_vector<float> to(loss.data(), 5);
  feaug::info_nce(gpu, queries.view(), keys.view(), to, {.reduction = feaug::reduce::none});
  for (std::size_t i = 0; i < 5; ++i) CHECK(std::isnan(loss.to_host()[i]) == (i == 2));
  feaug::info_nce(gpu, keys.view(), queries.view(), to, {.reduction = feaug::reduce::none});
  for (const float value : loss.to_host()) CHECK(std::isnan(value));
  // A temperature that is not above 0 is only seen on the device.
  const device_array<float> temperature({-1});
  feaug::info_nce(gpu, keys.view(), keys.view(), to,
                  {.reduction = feaug::reduce::none,
                   .learnable_temperature = feaug::stop_gradient(
                       feaug::device_vector<const float>(temperature.data(), 1))});
  for (const float value : loss.to_host()) CHECK(std::isnan(value));
}

TEST_CASE("losses are the same bits in every order of threads", "[cuda][loss]") {
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    const device_copy<float> z(test_matrix<float>::normal(40, 11, 1));
    const device_copy<float> w(test_matrix<float>::normal(40, 11, 2));
    const device_copy<float> dz(test_matrix<float>(40, 11));
    const device_array<float> loss({0});
    feaug::cuda_context gpu;
    feaug::info_nce_with_gradients(gpu, feaug::differentiable(z.view(), dz.view()),
                                   feaug::stop_gradient(w.view()),
                                   feaug::device_vector<float>(loss.data(), 1));
    std::vector<double> all = dz.host().values();
    all.push_back(static_cast<double>(loss.to_host()[0]));
    if (first.empty()) first = all;
    CHECK(all == first);
  });
}

TEST_CASE("bad arguments of the losses", "[cuda][loss]") {
  feaug::cuda_context gpu;
  const device_copy<float> z(test_matrix<float>::normal(4, 3, 1));
  const device_array<float> loss({0});
  const feaug::device_vector<float> to(loss.data(), 1);
  const auto says = [](const std::string& part, const auto& call) {
    const std::string message = testing::message_of(call);
    CAPTURE(message);
    CHECK(message.find(part) != std::string::npos);
  };
  float on_host = 0;
  says("info_nce: loss: got a pointer to ordinary host memory",
       [&] { feaug::info_nce(gpu, z.view(), z.view(), feaug::device_vector<float>(&on_host, 1)); });
  says("temperature: got 0",
       [&] { feaug::nt_xent(gpu, z.view(), z.view(), to, {.temperature = 0}); });
  says("info_nce: loss: got 1 elements, wanted 4",
       [&] { feaug::info_nce(gpu, z.view(), z.view(), to, {.reduction = feaug::reduce::none}); });
  says("gradient of queries", [&] {
    feaug::info_nce_with_gradients(gpu, feaug::differentiable(z.view(), z.view()),
                                   feaug::stop_gradient(z.view()), to);
  });
}

}  // namespace losses_test
