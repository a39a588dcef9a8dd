// sigmoid on a GPU against the CPU's.
#include "feaug/cuda/loss/sigmoid.cuh"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "cuda/loss/two_operands.hpp"
#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cpu/loss/sigmoid.hpp"
#include "support/message_of.hpp"

namespace sigmoid_test {

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

/// All three entries; scale and bias in device memory, their gradients added to what is there.
template <class T>
void compare(index_t rows, index_t cols, gradient_mode a_mode, gradient_mode b_mode,
             feaug::reduce reduction, bool normalize = true) {
  using C = feaug::compute_t<T>;
  CAPTURE(rows, cols, static_cast<int>(reduction), normalize);
  two_operands<T> a(test_matrix<T>::normal(rows, cols, 1, 1), a_mode);
  two_operands<T> b(test_matrix<T>::normal(rows, cols, 2), b_mode);
  const index_t outputs = reduction == feaug::reduce::none ? rows : 1;
  // scale and its gradient, bias and its gradient
  std::vector<C> numbers = {C(4), C(7), C(-3), C(5)};
  std::vector<C> loss(static_cast<std::size_t>(outputs));
  std::vector<C> weights;
  for (index_t i = 0; i < rows; ++i)
    weights.push_back(static_cast<C>(0.5 + 0.1 * static_cast<double>(i % 7)));
  std::vector<C> cotangent(loss.size(), C(0.7));
  const device_array<C> device_numbers(numbers);
  const device_array<C> device_loss(loss);
  const device_array<C> device_weights(weights);
  const device_array<C> device_cotangent(cotangent);
  feaug::sigmoid_options<T> host = {.reduction = reduction,
                                    .normalize = normalize,
                                    .gradient_scale = 3,
                                    .row_weights = {weights.data(), rows}};
  feaug::device_sigmoid_options<T> device = {.reduction = reduction,
                                             .normalize = normalize,
                                             .gradient_scale = 3,
                                             .row_weights = {device_weights.data(), rows}};
  const auto learnable = [](auto* from) {
    using view = feaug::vector_view<C>;
    return feaug::accumulate(view(from, 1), view(from + 1, 1));
  };
  const auto on_device = [](C* from) {
    using view = feaug::device_vector<C>;
    return feaug::accumulate(view(from, 1), view(from + 1, 1));
  };
  host.learnable_scale = learnable(numbers.data());
  host.learnable_bias = learnable(numbers.data() + 2);
  device.learnable_scale = on_device(device_numbers.data());
  device.learnable_bias = on_device(device_numbers.data() + 2);
  feaug::cpu_context cpu{.threads = 2};
  feaug::cuda_context gpu;
  const double tolerance = testing::tolerance<C>();
  const feaug::vector_view<C> host_loss(loss.data(), outputs);
  const feaug::device_vector<C> loss_view(device_loss.data(), outputs);
  const auto check_gradients = [&] {
    a.check();
    b.check();
    check_close(device_numbers.to_host(), numbers, tolerance);
  };

  feaug::sigmoid(cpu, a.host().value, b.host().value, host_loss, host);
  feaug::sigmoid(gpu, a.device().value, b.device().value, loss_view, device);
  check_close(device_loss.to_host(), loss, tolerance);
  feaug::sigmoid_backward(cpu, a.host(), b.host(), {cotangent.data(), outputs}, host);
  feaug::sigmoid_backward(gpu, a.device(), b.device(),
                          feaug::device_vector<const C>(device_cotangent.data(), outputs), device);
  check_gradients();
  feaug::sigmoid_with_gradients(cpu, a.host(), b.host(), host_loss, host);
  feaug::sigmoid_with_gradients(gpu, a.device(), b.device(), loss_view, device);
  check_close(device_loss.to_host(), loss, tolerance);
  check_gradients();
}

}  // namespace

TEMPLATE_TEST_CASE("sigmoid is the CPU's", "[cuda][loss]", double, float, feaug::half,
                   feaug::bfloat16) {
  using T = TestType;
  for (const auto reduction : {feaug::reduce::mean, feaug::reduce::none}) {
    compare<T>(1, 1, overwrite, overwrite, reduction);
    compare<T>(5, 7, overwrite, none, reduction);
    compare<T>(70, 19, none, add, reduction);
    compare<T>(33, 40, add, overwrite, reduction);
    compare<T>(6, 3, none, none, reduction);
    compare<T>(9, 4, overwrite, overwrite, reduction, false);
  }
}

TEST_CASE("sigmoid's logits of several tiles", "[cuda][loss]") {
  // Beyond 2048 rows there is more than one tile of rows.
  compare<float>(2060, 2, overwrite, overwrite, feaug::reduce::mean);
}

TEST_CASE("sigmoid at the edges", "[cuda][loss]") {
  auto x = test_matrix<float>::normal(5, 6, 1);
  x.set(2, 0, std::numeric_limits<double>::quiet_NaN());
  const device_copy<float> bad(x);
  const device_copy<float> good(test_matrix<float>::normal(5, 6, 2));
  const device_array<float> loss({0, 0, 0, 0, 0});
  feaug::cuda_context gpu;
  const feaug::device_vector<float> to(loss.data(), 5);
  feaug::sigmoid(gpu, bad.view(), good.view(), to, {.reduction = feaug::reduce::none});
  for (std::size_t i = 0; i < 5; ++i) CHECK(std::isnan(loss.to_host()[i]) == (i == 2));
  feaug::sigmoid(gpu, good.view(), bad.view(), to, {.reduction = feaug::reduce::none});
  for (const float value : loss.to_host()) CHECK(std::isnan(value));

  auto extreme = test_matrix<float>::normal(5, 6, 3);
  extreme.fill_row(1, 0);
  extreme.fill_row(2, -1e18);
  extreme.fill_row(3, 1e-30);
  const device_copy<float> z(extreme);
  const device_copy<float> dz(test_matrix<float>(5, 6));
  feaug::sigmoid_with_gradients(gpu, feaug::differentiable(z.view(), dz.view()),
                                feaug::stop_gradient(good.view()), to,
                                {.scale = 1e3, .reduction = feaug::reduce::none});
  for (const float value : loss.to_host()) CHECK(std::isfinite(value));
  for (const double value : dz.host().values()) CHECK(std::isfinite(value));
  for (index_t j = 0; j < 6; ++j) CHECK((dz.host().get(1, j) == 0 && dz.host().get(3, j) == 0));
}

TEST_CASE("sigmoid takes chunks where others would be fused", "[cuda][loss]") {
  const device_copy<float> a(test_matrix<float>::normal(20, 8, 1));
  const device_copy<float> b(test_matrix<float>::normal(20, 8, 2));
  const device_array<float> loss({0, 0});
  feaug::cuda_context plain;
  feaug::cuda_context tensor;
  tensor.tensor_cores = true;
  plain.precision = tensor.precision = feaug::product_precision::bf16;
  feaug::sigmoid(plain, a.view(), b.view(), feaug::device_vector<float>(loss.data(), 1));
  feaug::sigmoid(tensor, a.view(), b.view(), feaug::device_vector<float>(loss.data() + 1, 1));
  CHECK(loss.to_host()[0] > 0);
  CHECK(loss.to_host()[0] == loss.to_host()[1]);
}

TEST_CASE("sigmoid is the same bits in every order of threads", "[cuda][loss]") {
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    const device_copy<float> a(test_matrix<float>::normal(40, 11, 1));
    const device_copy<float> b(test_matrix<float>::normal(40, 11, 2));
    const device_copy<float> da(test_matrix<float>(40, 11));
    const device_copy<float> db(test_matrix<float>(40, 11));
    const device_array<float> numbers({10, 0, 0});
    feaug::cuda_context gpu;
    feaug::device_sigmoid_options<float> options;
    options.learnable_scale =
        feaug::differentiable(feaug::device_vector<float>(numbers.data(), 1),
                              feaug::device_vector<float>(numbers.data() + 1, 1));
    feaug::sigmoid_with_gradients(gpu, feaug::differentiable(a.view(), da.view()),
                                  feaug::differentiable(b.view(), db.view()),
                                  feaug::device_vector<float>(numbers.data() + 2, 1), options);
    std::vector<double> all = da.host().values();
    for (const double value : db.host().values()) all.push_back(value);
    for (const float value : numbers.to_host()) all.push_back(static_cast<double>(value));
    if (first.empty()) first = all;
    CHECK(all == first);
  });
}

TEST_CASE("bad arguments of sigmoid", "[cuda][loss]") {
  feaug::cuda_context gpu;
  const device_copy<float> z(test_matrix<float>::normal(4, 3, 1));
  const device_array<float> loss({0});
  const feaug::device_vector<float> to(loss.data(), 1);
  float on_host = 0;
  const feaug::device_vector<float> host_number(&on_host, 1);
  const auto says = [](const std::string& part, const auto& call) {
    const std::string message = testing::message_of(call);
    CAPTURE(message);
    CHECK(message.find(part) != std::string::npos);
  };
  says("sigmoid: loss: got a pointer to ordinary host memory",
       [&] { feaug::sigmoid(gpu, z.view(), z.view(), host_number); });
  says("sigmoid: scale: got inf", [&] {
    feaug::sigmoid(gpu, z.view(), z.view(), to, {.scale = std::numeric_limits<double>::infinity()});
  });
  says("sigmoid: learnable_bias: got a pointer to ordinary host memory", [&] {
    feaug::device_sigmoid_options<float> options;
    options.learnable_bias = feaug::stop_gradient(host_number);
    feaug::sigmoid(gpu, z.view(), z.view(), to, options);
  });
  says("sigmoid_with_gradients: gradient of a: got memory that overlaps b", [&] {
    const device_copy<float> other(test_matrix<float>::normal(4, 3, 2));
    feaug::sigmoid_with_gradients(gpu, feaug::differentiable(other.view(), z.view()),
                                  feaug::stop_gradient(z.view()), to);
  });
}

}  // namespace sigmoid_test
