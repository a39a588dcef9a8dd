// swapped_assignment and assignment_loss on a GPU against the CPU's.
#include "feaug/cuda/loss/swapped_assignment.cuh"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "cuda/loss/two_operands.hpp"
#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cpu/loss/assignment_loss.hpp"
#include "feaug/cpu/loss/swapped_assignment.hpp"
#include "feaug/cuda/loss/assignment_loss.cuh"
#include "support/message_of.hpp"

namespace swapped_assignment_test {

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

/// All three entries of both losses.
template <class T>
void compare(const test_matrix<T>& first, gradient_mode a_mode, gradient_mode b_mode,
             feaug::reduce reduction, index_t extra_rows = 0, index_t iterations = 3) {
  using C = feaug::compute_t<T>;
  const index_t rows = first.rows();
  const index_t cols = first.cols();
  CAPTURE(rows, cols, static_cast<int>(reduction), extra_rows, iterations);
  two_operands<T> a(first, a_mode);
  two_operands<T> b(test_matrix<T>::normal(rows, cols, 2), b_mode);
  const auto extra = test_matrix<T>::normal(extra_rows, cols, 3);
  const device_copy<T> device_extra(extra);
  const index_t outputs = reduction == feaug::reduce::none ? rows : 1;
  std::vector<C> loss(static_cast<std::size_t>(outputs));
  std::vector<C> weights;
  for (index_t i = 0; i < rows; ++i)
    weights.push_back(static_cast<C>(0.5 + 0.1 * static_cast<double>(i % 7)));
  const std::vector<C> cotangent(loss.size(), C(0.7));
  std::vector<double> potentials(static_cast<std::size_t>(2 * cols));
  const device_array<C> device_loss(loss);
  const device_array<C> device_weights(weights);
  const device_array<C> device_cotangent(cotangent);
  const device_array<double> device_potentials(potentials);
  feaug::swapped_assignment_options<T> host = {.temperature = 0.3,
                                               .epsilon = 0.25,
                                               .iterations = iterations,
                                               .reduction = reduction,
                                               .gradient_scale = 3,
                                               .row_weights = {weights.data(), rows}};
  feaug::device_swapped_assignment_options<T> device = {
      .temperature = 0.3,
      .epsilon = 0.25,
      .iterations = iterations,
      .reduction = reduction,
      .gradient_scale = 3,
      .row_weights = {device_weights.data(), rows}};
  if (extra_rows > 0) {
    host.extra_scores_b = extra.view();
    device.extra_scores_b = device_extra.view();
  }
  feaug::cpu_context cpu{.threads = 2};
  feaug::cuda_context gpu;
  const double tolerance = testing::tolerance<C>();
  const feaug::vector_view<C> host_loss(loss.data(), outputs);
  const feaug::device_vector<C> loss_view(device_loss.data(), outputs);
  const feaug::vector_view<double> host_statistics(potentials.data(), 2 * cols);
  const feaug::device_vector<double> statistics(device_potentials.data(), 2 * cols);
  const feaug::device_vector<const C> device_upstream(device_cotangent.data(), outputs);
  const auto check_all = [&] {
    a.check();
    b.check();
    check_close(device_loss.to_host(), loss, tolerance);
  };

  feaug::swapped_assignment(cpu, a.host().value, b.host().value, host_loss, host, host_statistics);
  feaug::swapped_assignment(gpu, a.device().value, b.device().value, loss_view, device, statistics);
  check_close(device_potentials.to_host(), potentials, tolerance);
  feaug::swapped_assignment_backward(cpu, a.host(), b.host(), host_statistics,
                                     {cotangent.data(), outputs}, host);
  feaug::swapped_assignment_backward(gpu, a.device(), b.device(), statistics, device_upstream,
                                     device);
  check_all();
  feaug::swapped_assignment_with_gradients(cpu, a.host(), b.host(), host_loss, host);
  feaug::swapped_assignment_with_gradients(gpu, a.device(), b.device(), loss_view, device);
  check_all();

  const feaug::assignment_target<T> host_target = {.scores = b.host().value,
                                                   .potentials = {potentials.data() + cols, cols},
                                                   .epsilon = 0.25,
                                                   .iterations = iterations};
  const feaug::device_assignment_target<T> target = {
      .scores = b.device().value,
      .potentials = feaug::device_vector<double>(device_potentials.data() + cols, cols),
      .epsilon = 0.25,
      .iterations = iterations};
  const feaug::assignment_loss_options<T> host_how = {.temperature = 0.3, .reduction = reduction};
  const feaug::device_assignment_loss_options<T> how = {.temperature = 0.3, .reduction = reduction};
  feaug::assignment_loss(cpu, a.host().value, host_target, host_loss, host_how);
  feaug::assignment_loss(gpu, a.device().value, target, loss_view, how);
  check_all();
  feaug::assignment_loss_backward(cpu, a.host(), host_target, {cotangent.data(), outputs},
                                  host_how);
  feaug::assignment_loss_backward(gpu, a.device(), target, device_upstream, how);
  check_all();
  feaug::assignment_loss_with_gradients(cpu, a.host(), host_target, host_loss, host_how);
  feaug::assignment_loss_with_gradients(gpu, a.device(), target, loss_view, how);
  check_all();
}

template <class T>
test_matrix<T> normal(index_t rows, index_t cols) {
  return test_matrix<T>::normal(rows, cols, 1, 1);
}

}  // namespace

TEMPLATE_TEST_CASE("swapped_assignment is the CPU's", "[cuda][loss]", double, float) {
  using T = TestType;
  for (const auto reduction : {feaug::reduce::mean, feaug::reduce::none}) {
    compare(normal<T>(1, 1), overwrite, overwrite, reduction);
    compare(normal<T>(5, 7), overwrite, none, reduction, 3);
    compare(normal<T>(33, 40), add, overwrite, reduction, 2);
    compare(normal<T>(6, 3), none, add, reduction, 0, 0);
    compare(normal<T>(9, 4), none, none, reduction, 0, 1);
  }
}

TEMPLATE_TEST_CASE("swapped_assignment of 16-bit scores", "[cuda][loss]", feaug::half,
                   feaug::bfloat16) {
  compare(normal<TestType>(9, 35), overwrite, add, feaug::reduce::mean, 2);
}

TEST_CASE("swapped_assignment at the edges", "[cuda][loss]") {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const auto reduction : {feaug::reduce::mean, feaug::reduce::none}) {
    auto scores = normal<float>(6, 5);
    scores.set(0, 0, 1e20);
    scores.set(2, 2, -infinity);
    compare(scores, overwrite, overwrite, reduction);
    scores.fill_row(1, -infinity);
    compare(scores, overwrite, overwrite, reduction);
    scores = normal<float>(6, 5);
    scores.set(3, 1, std::numeric_limits<double>::quiet_NaN());
    compare(scores, overwrite, overwrite, reduction);
  }
}

TEST_CASE("swapped_assignment is the same bits in every order of threads", "[cuda][loss]") {
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    const device_copy<float> a(normal<float>(40, 37));
    const device_copy<float> b(test_matrix<float>::normal(40, 37, 2));
    const device_copy<float> d_a(test_matrix<float>(40, 37));
    const device_copy<float> d_b(test_matrix<float>(40, 37));
    const device_array<float> loss({0});
    feaug::cuda_context gpu;
    feaug::swapped_assignment_with_gradients(gpu, feaug::differentiable(a.view(), d_a.view()),
                                             feaug::differentiable(b.view(), d_b.view()),
                                             feaug::device_vector<float>(loss.data(), 1));
    std::vector<double> all = d_a.host().values();
    for (const double x : d_b.host().values()) all.push_back(x);
    all.push_back(static_cast<double>(loss.to_host()[0]));
    if (first.empty()) first = all;
    CHECK(all == first);
  });
}

TEST_CASE("bad arguments of swapped_assignment", "[cuda][loss]") {
  feaug::cuda_context gpu;
  auto host = test_matrix<float>::normal(4, 3, 1);
  std::vector<double> numbers(6);
  const device_copy<float> a(host);
  const device_array<float> loss({0});
  const feaug::device_vector<float> to(loss.data(), 1);
  const feaug::device_matrix<float> on_host(host.view().data, 4, 3);
  const feaug::device_vector<double> host_numbers(numbers.data(), 6);
  const auto says = [](const std::string& text, const auto& call) {
    CHECK(testing::message_of(call) == text);
  };
  const std::string wanted = ": got a pointer to ordinary host memory, wanted device memory";
  says("swapped_assignment: scores_b" + wanted,
       [&] { feaug::swapped_assignment(gpu, a.view(), on_host, to); });
  says("swapped_assignment: extra_scores_a" + wanted, [&] {
    feaug::swapped_assignment(gpu, a.view(), a.view(), to, {.extra_scores_a = on_host});
  });
  says("swapped_assignment: statistics" + wanted,
       [&] { feaug::swapped_assignment(gpu, a.view(), a.view(), to, {}, host_numbers); });
  says("swapped_assignment: temperature: got 0, wanted a finite number above 0",
       [&] { feaug::swapped_assignment(gpu, a.view(), a.view(), to, {.temperature = 0}); });
  says("assignment_loss: target.potentials" + wanted, [&] {
    feaug::assignment_loss(
        gpu, a.view(),
        {.scores = a.view(), .potentials = feaug::device_vector<double>(numbers.data(), 3)}, to);
  });
}

}  // namespace swapped_assignment_test
