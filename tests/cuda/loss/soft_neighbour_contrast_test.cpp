// soft_neighbour_contrast on a GPU against the CPU's.
#include "feaug/cuda/loss/soft_neighbour_contrast.cuh"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "cuda/loss/two_operands.hpp"
#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cpu/loss/soft_neighbour_contrast.hpp"
#include "support/message_of.hpp"

namespace soft_neighbour_contrast_test {

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

struct shape {
  index_t rows, cols, k;
};

/// All three entries, the attention a side of its own or the queries.
template <class T>
void compare(const shape& at, gradient_mode mode, gradient_mode attention_mode, bool attends,
             feaug::reduce reduction, bool normalize = true) {
  using C = feaug::compute_t<T>;
  CAPTURE(at.rows, at.cols, at.k, attends, static_cast<int>(reduction), normalize);
  two_operands<T> q(test_matrix<T>::normal(at.rows, at.cols, 1, 1), mode);
  two_operands<T> z(test_matrix<T>::normal(at.rows, at.cols, 4, 2), attention_mode);
  const auto keys = test_matrix<T>::normal(at.rows, at.cols, 2, 2);
  const auto neighbours = test_matrix<T>::normal(at.rows * at.k, at.cols, 3, 1);
  const device_copy<T> device_keys(keys);
  const device_copy<T> device_neighbours(neighbours);
  std::vector<C> weights;
  for (index_t i = 0; i < at.rows; ++i)
    weights.push_back(static_cast<C>(0.5 + 0.1 * static_cast<double>(i % 7)));
  const index_t outputs = reduction == feaug::reduce::none ? at.rows : 1;
  std::vector<C> loss(static_cast<std::size_t>(outputs));
  const std::vector<C> cotangent(loss.size(), C(0.7));
  const device_array<C> device_weights(weights);
  const device_array<C> device_loss(loss);
  const device_array<C> device_cotangent(cotangent);
  feaug::soft_neighbour_contrast_options<T> host = {.temperature = 0.3,
                                                    .label_temperature = 0.5,
                                                    .neighbour_weight = 1.5,
                                                    .reduction = reduction,
                                                    .normalize = normalize,
                                                    .gradient_scale = 3,
                                                    .row_weights = {weights.data(), at.rows}};
  feaug::device_soft_neighbour_contrast_options<T> device = {
      .temperature = 0.3,
      .label_temperature = 0.5,
      .neighbour_weight = 1.5,
      .reduction = reduction,
      .normalize = normalize,
      .gradient_scale = 3,
      .row_weights = {device_weights.data(), at.rows}};
  if (attends) {
    host.attention = z.host();
    device.attention = z.device();
  }
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  const feaug::vector_view<C> to(loss.data(), outputs);
  const feaug::device_vector<C> device_to(device_loss.data(), outputs);
  const double tolerance = testing::tolerance<C>();
  const auto check_gradients = [&] {
    q.check();
    z.check();
  };

  feaug::soft_neighbour_contrast(cpu, q.host().value, keys.view(), neighbours.view(), to, host);
  feaug::soft_neighbour_contrast(gpu, q.device().value, device_keys.view(),
                                 device_neighbours.view(), device_to, device);
  check_close(device_loss.to_host(), loss, tolerance);
  check_gradients();
  feaug::soft_neighbour_contrast_backward(cpu, q.host(), keys.view(), neighbours.view(),
                                          {cotangent.data(), outputs}, host);
  feaug::soft_neighbour_contrast_backward(
      gpu, q.device(), device_keys.view(), device_neighbours.view(),
      feaug::device_vector<const C>(device_cotangent.data(), outputs), device);
  check_gradients();
  feaug::soft_neighbour_contrast_with_gradients(cpu, q.host(), keys.view(), neighbours.view(), to,
                                                host);
  feaug::soft_neighbour_contrast_with_gradients(gpu, q.device(), device_keys.view(),
                                                device_neighbours.view(), device_to, device);
  check_close(device_loss.to_host(), loss, tolerance);
  check_gradients();
}

/// Loss and gradients in a context, as one list.
std::vector<double> loss_and_gradients(feaug::cuda_context& gpu, index_t rows, index_t cols,
                                       index_t k) {
  const device_copy<float> q(test_matrix<float>::normal(rows, cols, 1));
  const device_copy<float> keys(test_matrix<float>::normal(rows, cols, 2));
  const device_copy<float> neighbours(test_matrix<float>::normal(rows * k, cols, 3));
  const device_copy<float> dq(test_matrix<float>(rows, cols));
  const device_copy<float> dz(test_matrix<float>(rows, cols));
  const device_array<float> loss({0});
  feaug::soft_neighbour_contrast_with_gradients(
      gpu, feaug::differentiable(q.view(), dq.view()), keys.view(), neighbours.view(),
      feaug::device_vector<float>(loss.data(), 1),
      {.attention = feaug::differentiable(q.view(), dz.view())});
  std::vector<double> all = dq.host().values();
  for (const double value : dz.host().values()) all.push_back(value);
  all.push_back(static_cast<double>(loss.to_host()[0]));
  return all;
}

}  // namespace

TEMPLATE_TEST_CASE("soft_neighbour_contrast is the CPU's", "[cuda][soft_neighbour_contrast]",
                   double, float, feaug::bfloat16) {
  using T = TestType;
  for (const auto reduction : {feaug::reduce::mean, feaug::reduce::none}) {
    compare<T>({1, 1, 1}, overwrite, overwrite, true, reduction);
    compare<T>({9, 7, 3}, add, none, false, reduction);
    compare<T>({33, 19, 4}, overwrite, add, true, reduction);
    compare<T>({5, 40, 2}, none, overwrite, true, reduction);
    compare<T>({6, 4, 2}, overwrite, overwrite, true, reduction, false);
  }
}

TEST_CASE("soft_neighbour_contrast on a GPU at the edges", "[cuda][soft_neighbour_contrast]") {
  auto x = test_matrix<float>::normal(5, 4, 1);
  x.fill_row(1, 0);
  x.fill_row(2, -1e18);
  x.set(4, 0, std::numeric_limits<double>::infinity());
  const device_copy<float> q(x);
  const device_copy<float> dq(test_matrix<float>(5, 4));
  const device_copy<float> keys(test_matrix<float>::normal(5, 4, 2));
  const device_copy<float> neighbours(test_matrix<float>::normal(10, 4, 3));
  const device_array<float> loss({5, 5, 5, 5, 5});
  feaug::cuda_context gpu;
  feaug::soft_neighbour_contrast_with_gradients(
      gpu, feaug::differentiable(q.view(), dq.view()), keys.view(), neighbours.view(),
      feaug::device_vector<float>(loss.data(), 5),
      {.temperature = 1e-3, .reduction = feaug::reduce::none});
  for (index_t i = 0; i < 5; ++i) {
    CHECK(std::isnan(loss.to_host()[static_cast<std::size_t>(i)]) == (i == 4));
    CHECK(std::isfinite(loss.to_host()[static_cast<std::size_t>(i)]) == (i != 4));
    for (index_t j = 0; j < 4; ++j) CHECK(std::isfinite(dq.host().get(i, j)) == (i != 4));
  }
  for (index_t j = 0; j < 4; ++j) CHECK(dq.host().get(1, j) == 0.0);
}

TEST_CASE("soft_neighbour_contrast on tensor cores is near", "[cuda][soft_neighbour_contrast]") {
  feaug::cuda_context plain;
  feaug::cuda_context fused{.precision = feaug::product_precision::bf16, .tensor_cores = true};
  const std::vector<double> want = loss_and_gradients(plain, 70, 24, 2);
  const std::vector<double> got = loss_and_gradients(fused, 70, 24, 2);
  CHECK(testing::relative_error(got, want) < 2e-2);
  CHECK(got != want);  // it was another kernel
}

TEST_CASE("soft_neighbour_contrast is the same bits in every order of threads",
          "[cuda][soft_neighbour_contrast]") {
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    feaug::cuda_context gpu;
    const std::vector<double> all = loss_and_gradients(gpu, 20, 11, 3);
    if (first.empty()) first = all;
    CHECK(all == first);
  });
}

TEST_CASE("bad arguments of soft_neighbour_contrast", "[cuda][soft_neighbour_contrast]") {
  feaug::cuda_context gpu;
  const device_copy<float> q(test_matrix<float>::normal(4, 3, 1));
  const device_array<float> loss({0});
  const feaug::device_vector<float> to(loss.data(), 1);
  const auto on_host = test_matrix<float>::normal(4, 3, 1);
  const feaug::device_matrix<const float> host_rows(on_host.view().data, 4, 3);
  const auto says = [](const std::string& part, const auto& call) {
    const std::string message = testing::message_of(call);
    CAPTURE(message);
    CHECK(message.find(part) != std::string::npos);
  };
  says("soft_neighbour_contrast: neighbours: got a pointer to ordinary host memory",
       [&] { feaug::soft_neighbour_contrast(gpu, q.view(), q.view(), host_rows, to); });
  says("soft_neighbour_contrast: attention: got a pointer to ordinary host memory", [&] {
    feaug::soft_neighbour_contrast(gpu, q.view(), q.view(), q.view(), to,
                                   {.attention = feaug::stop_gradient(host_rows)});
  });
  says("soft_neighbour_contrast: neighbours: got 3 rows", [&] {
    feaug::soft_neighbour_contrast(gpu, q.view(), q.view(), q.view().rows_from(0, 3), to);
  });
}

}  // namespace soft_neighbour_contrast_test
