// Several adversarial steps on a GPU compared with the CPU, for every thread schedule.
#include "feaug/cuda/augment/adversarial.cuh"

#include <catch2/catch.hpp>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cpu/augment/adversarial.hpp"

namespace adversarial_test {

using device_test::device_copy;
using testing::test_matrix;

TEST_CASE("several adversarial steps, in place, for every thread schedule",
          "[cuda][augment][adversarial]") {
  const auto x = test_matrix<float>::normal(20, 45, 1, 1);
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    feaug::cuda_context gpu;
    const device_copy<float> device_x(x);
    const device_copy<float> gradient(x);
    const device_copy<float> out(x);
    int calls = 0;
    // The gradient of ½‖at‖² is `at` itself.
    const auto gradient_of = [&](const feaug::device_matrix<float>& at) {
      ++calls;
      feaug::augment(gpu, feaug::identity{}, feaug::device_matrix<const float>(at),
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
        feaug::augment(cpu, feaug::identity{}, feaug::matrix_view<const float>(at),
                       feaug::random_key{}, gradient.view());
      },
      {.step = {.step_size = 0.25, .radius = 0.5}, .steps = 3}, want.view());
  feaug::adversarial_step(cpu, x.view(), want.view(), gradient.view(), {.renormalize = true},
                          want.view());
  CHECK(testing::relative_error(first, want.values()) <= 1e-6);
}

}  // namespace adversarial_test
