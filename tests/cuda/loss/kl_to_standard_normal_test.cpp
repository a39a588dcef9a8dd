// kl_to_standard_normal on a GPU against the CPU: losses, gradients, any schedule.
#include "feaug/cuda/loss/kl_to_standard_normal.cuh"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "cuda/loss/two_operands.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cpu/loss/kl_to_standard_normal.hpp"
#include "support/message_of.hpp"

namespace kl_to_standard_normal_test {

using device_test::device_array;
using device_test::two_operands;
using feaug::gradient_mode;
using feaug::index_t;
using feaug::reduce;
using testing::test_matrix;

TEMPLATE_TEST_CASE("kl_to_standard_normal is the CPU's", "[cuda][kl]", double, float, feaug::half,
                   feaug::bfloat16) {
  using T = TestType;
  using C = feaug::compute_t<T>;
  // One element, a warp and its neighbours, more rows than a block has warps.
  const index_t shapes[][2] = {{1, 1}, {19, 31}, {3, 33}};
  for (const auto& shape : shapes) {
    for (const reduce reduction : {reduce::mean, reduce::sum, reduce::none}) {
      CAPTURE(shape[0], shape[1], static_cast<int>(reduction));
      feaug::cpu_context cpu{.threads = 1};
      feaug::cuda_context gpu;
      const auto mean = test_matrix<T>::normal(shape[0], shape[1], 1, 1);
      const auto logs = test_matrix<T>::normal(shape[0], shape[1], 2);
      const index_t outputs = reduction == reduce::none ? shape[0] : 1;
      const auto count = static_cast<std::size_t>(outputs);
      std::vector<C> weights(static_cast<std::size_t>(shape[0]), C{0.5});
      weights[0] = C{-1};
      std::vector<C> cotangent(count, C{2});
      std::vector<C> loss(count);
      const device_array<C> device_weights(weights);
      const device_array<C> device_cotangent(cotangent);
      const device_array<C> device_loss(loss);
      const feaug::kl_to_standard_normal_options<T> options{
          .reduction = reduction, .row_weights = {weights.data(), shape[0]}};
      const feaug::device_kl_to_standard_normal_options<T> device_options{
          .reduction = reduction, .row_weights = {device_weights.data(), shape[0]}};
      feaug::kl_to_standard_normal(cpu, mean.view(), logs.view(), {loss.data(), outputs}, options);
      two_operands<T> a(mean, gradient_mode::none);
      two_operands<T> b(logs, gradient_mode::none);
      feaug::kl_to_standard_normal(gpu, a.device().value, b.device().value,
                                   {device_loss.data(), outputs}, device_options);
      device_test::check_close(device_loss.to_host(), loss, 1e-6);
      for (const auto mode :
           {gradient_mode::none, gradient_mode::overwrite, gradient_mode::accumulate}) {
        const auto other =
            mode == gradient_mode::overwrite ? gradient_mode::none : gradient_mode::overwrite;
        two_operands<T> x(mean, mode);
        two_operands<T> y(logs, other);
        feaug::kl_to_standard_normal_backward(cpu, x.host(), y.host(), {cotangent.data(), outputs},
                                              options);
        feaug::kl_to_standard_normal_backward(gpu, x.device(), y.device(),
                                              {device_cotangent.data(), outputs}, device_options);
        x.check();
        y.check();
        feaug::kl_to_standard_normal_with_gradients(cpu, x.host(), y.host(), {loss.data(), outputs},
                                                    options);
        feaug::kl_to_standard_normal_with_gradients(gpu, x.device(), y.device(),
                                                    {device_loss.data(), outputs}, device_options);
        x.check();
        y.check();
        device_test::check_close(device_loss.to_host(), loss, 1e-6);
      }
    }
  }
}

TEST_CASE("kl_to_standard_normal in any order of threads", "[cuda][kl]") {
  const auto mean = test_matrix<float>::normal(40, 45, 1, 1);
  const auto logs = test_matrix<float>::normal(40, 45, 2);
  std::vector<float> first;
  device_test::for_each_schedule([&] {
    feaug::cuda_context gpu;
    two_operands<float> a(mean, gradient_mode::overwrite);
    two_operands<float> b(logs, gradient_mode::overwrite);
    const device_array<float> loss(std::vector<float>{0});
    feaug::kl_to_standard_normal_with_gradients(gpu, a.device(), b.device(), {loss.data(), 1});
    if (first.empty()) first = loss.to_host();
    CHECK(loss.to_host() == first);
  });
}

TEST_CASE("kl_to_standard_normal on a GPU refuses host memory", "[cuda][kl]") {
  feaug::cuda_context gpu;
  const auto host = test_matrix<float>::normal(3, 4, 1);
  two_operands<float> x(host, gradient_mode::none);
  float loss = 9;
  CHECK(testing::message_of([&] {
          feaug::kl_to_standard_normal(gpu, x.device().value, x.device().value, {&loss, 1});
        }) ==
        "kl_to_standard_normal: loss: got a pointer to ordinary host memory, wanted device memory");
  CHECK(loss == 9);
}

}  // namespace kl_to_standard_normal_test
