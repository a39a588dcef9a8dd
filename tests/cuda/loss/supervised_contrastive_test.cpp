// supervised_contrastive on a GPU against the CPU's.
#include "feaug/cuda/loss/supervised_contrastive.cuh"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "cuda/loss/two_operands.hpp"
#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cpu/loss/supervised_contrastive.hpp"
#include "support/message_of.hpp"

namespace supervised_contrastive_test {

using device_test::check_close;
using device_test::device_array;
using device_test::device_copy;
using device_test::two_operands;
using feaug::gradient_mode;
using feaug::index_t;
using testing::test_matrix;

namespace {

constexpr auto none = gradient_mode::none;
constexpr auto overwrite = gradient_mode::overwrite;
constexpr auto add = gradient_mode::accumulate;

using device_labels = feaug::device_vector<const index_t>;

/// Every third row has a label of its own where there are more rows than `classes`.
std::vector<index_t> some_labels(index_t rows, index_t classes) {
  std::vector<index_t> labels;
  for (index_t i = 0; i < rows; ++i) {
    const bool is_alone = i % 3 == 2 && classes < rows;
    labels.push_back(is_alone ? 1000 + i : (i * 7) % classes - 1);
  }
  return labels;
}

/// All three entries; the temperature in device memory, its gradient added to what is there.
template <class T>
void compare(const std::vector<index_t>& labels, index_t cols, gradient_mode mode,
             feaug::reduce reduction, bool normalize = true) {
  using C = feaug::compute_t<T>;
  const auto rows = static_cast<index_t>(labels.size());
  CAPTURE(rows, cols, static_cast<int>(reduction), normalize);
  two_operands<T> z(test_matrix<T>::normal(rows, cols, 1, 1), mode);
  const index_t outputs = reduction == feaug::reduce::none ? rows : 1;
  std::vector<C> tau = {C(0.3), C(7)};
  std::vector<C> loss(static_cast<std::size_t>(outputs));
  std::vector<C> statistics(static_cast<std::size_t>(rows));
  std::vector<C> weights;
  for (index_t i = 0; i < rows; ++i)
    weights.push_back(static_cast<C>(0.5 + 0.1 * static_cast<double>(i % 7)));
  std::vector<C> cotangent(loss.size(), C(0.7));
  const device_array<index_t> on_device(labels);
  const device_array<C> device_tau(tau);
  const device_array<C> device_loss(loss);
  const device_array<C> device_statistics(statistics);
  const device_array<C> device_weights(weights);
  const device_array<C> device_cotangent(cotangent);
  feaug::supervised_contrastive_options<T> host = {.reduction = reduction,
                                                   .normalize = normalize,
                                                   .gradient_scale = 3,
                                                   .row_weights = {weights.data(), rows}};
  host.learnable_temperature = feaug::accumulate(feaug::vector_view<C>(tau.data(), 1),
                                                 feaug::vector_view<C>(tau.data() + 1, 1));
  feaug::device_supervised_contrastive_options<T> device = {
      .reduction = reduction,
      .normalize = normalize,
      .gradient_scale = 3,
      .row_weights = {device_weights.data(), rows}};
  device.learnable_temperature =
      feaug::accumulate(feaug::device_vector<C>(device_tau.data(), 1),
                        feaug::device_vector<C>(device_tau.data() + 1, 1));
  feaug::cpu_context cpu{.threads = 2};
  feaug::cuda_context gpu;
  const double tolerance = testing::tolerance<C>();
  const feaug::vector_view<const index_t> host_labels(labels.data(), rows);
  const device_labels gpu_labels(on_device.data(), rows);
  const feaug::vector_view<C> host_loss(loss.data(), outputs);
  const feaug::vector_view<C> host_statistics(statistics.data(), rows);
  const feaug::device_vector<C> loss_view(device_loss.data(), outputs);
  const feaug::device_vector<C> statistics_view(device_statistics.data(), rows);
  const auto check_gradients = [&] {
    z.check();
    check_close(device_tau.to_host(), tau, 10 * tolerance);
  };

  feaug::supervised_contrastive(cpu, z.host().value, host_labels, host_loss, host, host_statistics);
  feaug::supervised_contrastive(gpu, z.device().value, gpu_labels, loss_view, device,
                                statistics_view);
  check_close(device_loss.to_host(), loss, tolerance);
  check_close(device_statistics.to_host(), statistics, tolerance);
  feaug::supervised_contrastive_backward(cpu, z.host(), host_labels, host_statistics,
                                         {cotangent.data(), outputs}, host);
  feaug::supervised_contrastive_backward(
      gpu, z.device(), gpu_labels, statistics_view,
      feaug::device_vector<const C>(device_cotangent.data(), outputs), device);
  check_gradients();
  feaug::supervised_contrastive_with_gradients(cpu, z.host(), host_labels, host_loss, host);
  feaug::supervised_contrastive_with_gradients(gpu, z.device(), gpu_labels, loss_view, device);
  check_close(device_loss.to_host(), loss, tolerance);
  check_gradients();
}

}  // namespace

TEMPLATE_TEST_CASE("supervised_contrastive is the CPU's", "[cuda][loss]", double, float,
                   feaug::half, feaug::bfloat16) {
  using T = TestType;
  for (const auto reduction : {feaug::reduce::mean, feaug::reduce::none}) {
    compare<T>({4}, 3, overwrite, reduction);
    compare<T>({4, 4}, 1, overwrite, reduction);
    compare<T>(some_labels(5, 5), 7, overwrite, reduction);
    compare<T>(some_labels(70, 4), 19, add, reduction);
    compare<T>(some_labels(33, 1), 40, none, reduction);
    compare<T>(some_labels(9, 2), 4, overwrite, reduction, false);
  }
}

TEST_CASE("supervised_contrastive's logits of several tiles", "[cuda][loss]") {
  // Beyond 2048 rows there is more than one tile of rows, beyond 256 labels more than one block.
  compare<float>(some_labels(2060, 30), 2, overwrite, feaug::reduce::mean);
}

TEST_CASE("supervised_contrastive at the edges", "[cuda][loss]") {
  auto x = test_matrix<float>::normal(6, 5, 1);
  x.set(4, 1, std::numeric_limits<double>::quiet_NaN());
  const device_copy<float> bad(x);
  const device_array<index_t> labels({0, 1, 0, 1, 2, 0});
  const device_labels of_rows(labels.data(), 6);
  const device_array<float> loss({5, 5, 5, 5, 5, 5});
  feaug::cuda_context gpu;
  const feaug::device_vector<float> to(loss.data(), 6);
  feaug::supervised_contrastive(gpu, bad.view(), of_rows, to, {.reduction = feaug::reduce::none});
  for (std::size_t i = 0; i < 6; ++i) CHECK(std::isnan(loss.to_host()[i]) == (i != 4));

  auto extreme = test_matrix<float>::normal(6, 5, 3);
  extreme.fill_row(1, 0);
  extreme.fill_row(2, -1e18);
  extreme.fill_row(3, 1e-30);
  const device_copy<float> z(extreme);
  const device_copy<float> dz(test_matrix<float>(6, 5));
  const auto operand = feaug::differentiable(z.view(), dz.view());
  feaug::supervised_contrastive_with_gradients(
      gpu, operand, of_rows, to, {.temperature = 1e-3, .reduction = feaug::reduce::none});
  for (const float value : loss.to_host()) CHECK(std::isfinite(value));
  for (const double value : dz.host().values()) CHECK(std::isfinite(value));
  for (index_t j = 0; j < 5; ++j) CHECK((dz.host().get(1, j) == 0 && dz.host().get(3, j) == 0));

  const device_array<index_t> distinct({0, 1, 2, 3, 4, 5});
  const feaug::device_vector<float> one(loss.data(), 1);
  feaug::supervised_contrastive_with_gradients(gpu, operand, device_labels(distinct.data(), 6), one,
                                               {});
  CHECK(loss.to_host()[0] == 0.0F);
  CHECK(dz.host().values() == std::vector<double>(30, 0.0));
}

TEST_CASE("supervised_contrastive takes chunks where others would be fused", "[cuda][loss]") {
  const device_copy<float> z(test_matrix<float>::normal(20, 8, 1));
  const device_array<index_t> labels(some_labels(20, 3));
  const device_labels of_rows(labels.data(), 20);
  const device_array<float> loss({0, 0});
  feaug::cuda_context plain;
  feaug::cuda_context tensor;
  tensor.tensor_cores = true;
  plain.precision = tensor.precision = feaug::product_precision::bf16;
  feaug::supervised_contrastive(plain, z.view(), of_rows,
                                feaug::device_vector<float>(loss.data(), 1));
  feaug::supervised_contrastive(tensor, z.view(), of_rows,
                                feaug::device_vector<float>(loss.data() + 1, 1));
  CHECK(loss.to_host()[0] > 0);
  CHECK(loss.to_host()[0] == loss.to_host()[1]);
}

TEST_CASE("supervised_contrastive is the same bits in every order of threads", "[cuda][loss]") {
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    const device_copy<float> z(test_matrix<float>::normal(40, 11, 1));
    const device_copy<float> dz(test_matrix<float>(40, 11));
    const device_array<index_t> labels(some_labels(40, 5));
    const device_array<float> numbers({0.2F, 0, 0});
    feaug::cuda_context gpu;
    feaug::device_supervised_contrastive_options<float> options;
    options.learnable_temperature =
        feaug::differentiable(feaug::device_vector<float>(numbers.data(), 1),
                              feaug::device_vector<float>(numbers.data() + 1, 1));
    feaug::supervised_contrastive_with_gradients(
        gpu, feaug::differentiable(z.view(), dz.view()), device_labels(labels.data(), 40),
        feaug::device_vector<float>(numbers.data() + 2, 1), options);
    std::vector<double> all = dz.host().values();
    for (const float value : numbers.to_host()) all.push_back(static_cast<double>(value));
    if (first.empty()) first = all;
    CHECK(all == first);
  });
}

TEST_CASE("bad arguments of supervised_contrastive", "[cuda][loss]") {
  feaug::cuda_context gpu;
  const device_copy<float> z(test_matrix<float>::normal(4, 3, 1));
  const device_array<index_t> labels({0, 0, 1, 1});
  const device_array<float> loss({0});
  const feaug::device_vector<float> to(loss.data(), 1);
  const std::vector<index_t> on_host = {0, 0, 1, 1};
  const auto says = [](const std::string& part, const auto& call) {
    const std::string message = testing::message_of(call);
    CAPTURE(message);
    CHECK(message.find(part) != std::string::npos);
  };
  says("supervised_contrastive: labels: got a pointer to ordinary host memory",
       [&] { feaug::supervised_contrastive(gpu, z.view(), device_labels(on_host.data(), 4), to); });
  says("supervised_contrastive: labels: got 3 elements, wanted 4",
       [&] { feaug::supervised_contrastive(gpu, z.view(), device_labels(labels.data(), 3), to); });
  says("supervised_contrastive: temperature: got 0", [&] {
    feaug::supervised_contrastive(gpu, z.view(), device_labels(labels.data(), 4), to,
                                  {.temperature = 0});
  });
}

}  // namespace supervised_contrastive_test
