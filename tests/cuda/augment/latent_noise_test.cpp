// latent_noise on a GPU against the CPU: values, both gradients, draws given, selections,
// schedules.
#include "feaug/cuda/augment/latent_noise.cuh"

#include <catch2/catch.hpp>
#include <string>
#include <utility>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/augment/one_of.hpp"
#include "feaug/cpu/augment/elementwise.hpp"
#include "feaug/cpu/augment/latent_noise.hpp"
#include "feaug/cuda/augment/elementwise.cuh"
#include "support/message_of.hpp"

namespace latent_noise_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::gradient_mode;
using feaug::index_t;
using feaug::random_key;
using testing::test_matrix;

namespace {

constexpr random_key key{.seed = 11, .step = 5, .stream = 2, .row_offset = 3};

template <class T>
void same(const device_copy<T>& got, const test_matrix<T>& want) {
  CHECK(testing::relative_error(got.host().values(), want.values()) <=
        testing::tolerance<T>() / 10);
  CHECK(got.host().padding_intact());
}

}  // namespace

TEMPLATE_TEST_CASE("latent_noise does what it does on the CPU", "[cuda][augment][latent]", double,
                   float, feaug::half, feaug::bfloat16) {
  using T = TestType;
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  const index_t shapes[][2] = {{0, 5}, {1, 1}, {9, 6}, {5, 64}, {7, 131}};
  for (const auto& shape : shapes) {
    const index_t rows = shape[0];
    const index_t cols = shape[1];
    CAPTURE(rows, cols);
    const auto x = test_matrix<T>::normal(rows, cols, 1, 1);
    const auto logs = test_matrix<T>::normal(rows, cols, 2, 2);
    const auto g = test_matrix<T>::normal(rows, cols, 3);
    const auto epsilon = test_matrix<T>::normal(rows, cols, 4);
    const device_copy<T> device_x(x);
    const device_copy<T> device_logs(logs);
    const device_copy<T> device_g(g);
    const device_copy<T> device_epsilon(epsilon);
    const feaug::latent_noise how{.least_log_variance = -1, .most_log_variance = 1};
    for (const bool given : {false, true}) {
      const auto drawn = given ? epsilon.view() : feaug::matrix_view<const T>();
      const auto device_drawn =
          given ? device_epsilon.const_view() : feaug::device_matrix<const T>();
      test_matrix<T> out(rows, cols, 1);
      const device_copy<T> device_out(out);
      feaug::augment(cpu, feaug::with_log_variance(how, feaug::stop_gradient(logs.view()), drawn),
                     x.view(), key, out.view());
      feaug::augment(gpu,
                     feaug::with_log_variance(how, feaug::stop_gradient(device_logs.const_view()),
                                              device_drawn),
                     device_x.const_view(), key, device_out.view());
      same(device_out, out);
      for (const auto mode :
           {gradient_mode::none, gradient_mode::overwrite, gradient_mode::accumulate}) {
        for (const auto log_mode :
             {gradient_mode::none, gradient_mode::overwrite, gradient_mode::accumulate}) {
          auto dx = test_matrix<T>::normal(rows, cols, 5, 2);
          auto dlogs = test_matrix<T>::normal(rows, cols, 6, 1);
          const device_copy<T> device_dx(dx);
          const device_copy<T> device_dlogs(dlogs);
          using device_operand = feaug::operand<T, 2, feaug::memory_space::device>;
          const feaug::operand<T> mean = {x.view(), dx.view(), mode};
          const feaug::operand<T> log_variance = {logs.view(), dlogs.view(), log_mode};
          const device_operand device_mean = {device_x.const_view(), device_dx.view(), mode};
          const device_operand device_log_variance = {device_logs.const_view(), device_dlogs.view(),
                                                      log_mode};
          feaug::augment_backward(cpu, feaug::with_log_variance(how, log_variance, drawn), mean,
                                  key, g.view());
          feaug::augment_backward(gpu,
                                  feaug::with_log_variance(how, device_log_variance, device_drawn),
                                  device_mean, key, device_g.const_view());
          same(device_dx, dx);
          same(device_dlogs, dlogs);
        }
      }
    }
  }
}

TEST_CASE("latent_noise of chosen rows, in place, in any order of threads",
          "[cuda][augment][latent]") {
  feaug::cpu_context cpu{.threads = 1};
  const auto x = test_matrix<float>::normal(40, 70, 1, 2);
  const auto logs = test_matrix<float>::normal(40, 70, 2);
  auto g = test_matrix<float>::normal(40, 70, 3);
  std::vector<index_t> choice(40);
  for (std::size_t i = 0; i < 40; ++i) choice[i] = i % 3 == 0 ? 1 : 0;
  const device_array<index_t> device_choice(choice);
  test_matrix<float> want(40, 70);
  test_matrix<float> want_dlogs(40, 70);
  test_matrix<float> want_dx(40, 70);
  const auto on_host = feaug::drawn_one_of(
      feaug::vector_view<const index_t>(choice.data(), 40),
      feaug::with_log_variance(feaug::latent_noise{},
                               feaug::differentiable(logs.view(), want_dlogs.view())),
      feaug::keep_features{});
  feaug::augment(cpu, on_host, x.view(), key, want.view());
  feaug::augment_backward(cpu, on_host, feaug::differentiable(x.view(), want_dx.view()), key,
                          std::as_const(g).view());
  device_test::for_each_schedule([&] {
    feaug::cuda_context gpu;
    const device_copy<float> device_x(x);
    const device_copy<float> device_logs(logs);
    const device_copy<float> device_g(g);
    const device_copy<float> dlogs(test_matrix<float>(40, 70));
    const auto on_device = feaug::drawn_one_of(
        feaug::device_vector<const index_t>(device_choice.data(), 40),
        feaug::with_log_variance(feaug::latent_noise{},
                                 feaug::differentiable(device_logs.const_view(), dlogs.view())),
        feaug::keep_features{});
    feaug::augment(gpu, on_device, device_x.const_view(), key, device_x.view());
    same(device_x, want);
    feaug::augment_backward(gpu, on_device,
                            feaug::differentiable(device_x.const_view(), device_g.view()), key,
                            device_g.const_view());
    same(device_g, want_dx);
    same(dlogs, want_dlogs);
  });
}

TEST_CASE("latent_noise on a GPU refuses host memory", "[cuda][augment][latent]") {
  feaug::cuda_context gpu;
  const auto logs = test_matrix<float>::normal(3, 4, 1);
  const device_copy<float> x(logs);
  const feaug::device_matrix<const float> on_host(logs.memory().data(), 3, 4);
  CHECK(testing::message_of([&] {
          feaug::augment(gpu, feaug::with_log_variance(feaug::latent_noise{}, on_host),
                         x.const_view(), key, x.view());
        }) ==
        "latent_noise: log_variance: got a pointer to ordinary host memory, wanted device "
        "memory");
  CHECK(x.host().values() == logs.values());
}

}  // namespace latent_noise_test
