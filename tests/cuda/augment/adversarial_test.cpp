// Adversarial steps on a GPU against the CPU: both norms, several steps, aliases, any schedule.
#include "feaug/cuda/augment/adversarial.cuh"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cpu/augment/adversarial.hpp"
#include "support/message_of.hpp"

namespace adversarial_test {

using device_test::device_copy;
using feaug::adversarial_norm;
using feaug::adversarial_options;
using feaug::index_t;
using testing::test_matrix;

TEMPLATE_TEST_CASE("adversarial steps are the CPU's", "[cuda][augment][adversarial]", double, float,
                   feaug::half, feaug::bfloat16) {
  using T = TestType;
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  // One element, a warp and its neighbours, more rows than a block has warps.
  const index_t shapes[][2] = {{0, 5}, {1, 1}, {3, 31}, {19, 32}, {2, 70}};
  for (const auto& shape : shapes) {
    const auto original = test_matrix<T>::normal(shape[0], shape[1], 1, 1);
    const auto current = test_matrix<T>::normal(shape[0], shape[1], 2, 2);
    auto gradient = test_matrix<T>::normal(shape[0], shape[1], 3, 3);
    if (shape[0] > 2) {
      gradient.fill_row(1, 0.0);
      gradient.set(2, 3, std::numeric_limits<double>::quiet_NaN());
    }
    const device_copy<T> device_original(original);
    const device_copy<T> device_current(current);
    const device_copy<T> device_gradient(gradient);
    for (const auto norm : {adversarial_norm::l2, adversarial_norm::linf}) {
      for (const auto relative : {feaug::noise_scale::absolute, feaug::noise_scale::row_norm}) {
        for (const bool renormalize : {false, true}) {
          CAPTURE(shape[0], shape[1], static_cast<int>(norm), renormalize);
          const adversarial_options how{.norm = norm,
                                        .step_size = 0.5,
                                        .radius = 0.75,
                                        .relative_to = relative,
                                        .renormalize = renormalize};
          test_matrix<T> want(shape[0], shape[1], 1);
          const device_copy<T> got(want);
          feaug::adversarial_step(cpu, original.view(), current.view(), gradient.view(), how,
                                  want.view());
          feaug::adversarial_step(gpu, device_original.const_view(), device_current.const_view(),
                                  device_gradient.const_view(), how, got.view());
          CHECK(testing::relative_error(got.host().values(), want.values()) <=
                testing::tolerance<T>() / 10);
          CHECK(got.host().padding_intact());
        }
      }
    }
    for (const auto through :
         {feaug::adversarial_gradient::none, feaug::adversarial_gradient::straight_through}) {
      for (const auto mode : {feaug::gradient_mode::none, feaug::gradient_mode::overwrite,
                              feaug::gradient_mode::accumulate}) {
        auto want = test_matrix<T>::normal(shape[0], shape[1], 4, 1);
        const device_copy<T> got(want);
        const feaug::operand<T> x = {original.view(), want.view(), mode};
        const feaug::operand<T, 2, feaug::memory_space::device> device_x = {
            device_original.const_view(), got.view(), mode};
        feaug::adversarial_backward(cpu, x, current.view(), {.gradient = through});
        feaug::adversarial_backward(gpu, device_x, device_current.const_view(),
                                    {.gradient = through});
        CHECK(got.host().values() == want.values());
      }
    }
  }
}

TEST_CASE("several adversarial steps, in place, in any order of threads",
          "[cuda][augment][adversarial]") {
  const auto x = test_matrix<float>::normal(20, 45, 1, 1);
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    feaug::cuda_context gpu;
    const device_copy<float> device_x(x);
    const device_copy<float> gradient(x);
    const device_copy<float> out(x);
    int calls = 0;
    // The gradient of ½‖at‖² is at itself.
    const auto gradient_of = [&](const feaug::device_matrix<float>& at) {
      ++calls;
      feaug::augment(gpu, feaug::keep_features{}, feaug::device_matrix<const float>(at),
                     feaug::random_key{}, gradient.view());
    };
    feaug::adversarial_steps(gpu, device_x.const_view(), gradient.const_view(), gradient_of,
                             {.step = {.step_size = 0.25, .radius = 0.5}, .steps = 3}, out.view());
    CHECK(calls == 3);
    feaug::adversarial_step(gpu, device_x.const_view(), out.const_view(), gradient.const_view(),
                            {.renormalize = true}, out.view());
    if (first.empty()) first = out.host().values();
    CHECK(out.host().values() == first);
  });
  feaug::cpu_context cpu{.threads = 1};
  test_matrix<float> want(20, 45);
  test_matrix<float> gradient(20, 45);
  feaug::adversarial_steps(
      cpu, x.view(), gradient.view(),
      [&](const feaug::matrix_view<float>& at) {
        feaug::augment(cpu, feaug::keep_features{}, feaug::matrix_view<const float>(at),
                       feaug::random_key{}, gradient.view());
      },
      {.step = {.step_size = 0.25, .radius = 0.5}, .steps = 3}, want.view());
  feaug::adversarial_step(cpu, x.view(), want.view(), gradient.view(), {.renormalize = true},
                          want.view());
  CHECK(testing::relative_error(first, want.values()) <= 1e-6);
}

TEST_CASE("adversarial steps on a GPU refuse host memory", "[cuda][augment][adversarial]") {
  feaug::cuda_context gpu;
  const auto host = test_matrix<float>::normal(3, 4, 1);
  const device_copy<float> x(host);
  const feaug::device_matrix<const float> on_host(host.memory().data(), 3, 4);
  CHECK(testing::message_of([&] {
          feaug::adversarial_step(gpu, x.const_view(), x.const_view(), on_host, {}, x.view());
        }) ==
        "adversarial_step: gradient: got a pointer to ordinary host memory, wanted device "
        "memory");
  CHECK(x.host().values() == host.values());
}

}  // namespace adversarial_test
