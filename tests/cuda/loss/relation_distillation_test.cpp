// relation_distillation on a GPU against the CPU's.
#include "feaug/cuda/loss/relation_distillation.cuh"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "cuda/loss/two_operands.hpp"
#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cpu/loss/relation_distillation.hpp"
#include "support/message_of.hpp"

namespace relation_distillation_test {

using device_test::check_close;
using device_test::device_array;
using device_test::device_copy;
using device_test::two_operands;
using feaug::gradient_mode;
using feaug::index_t;
using testing::test_matrix;

namespace {

struct shape {
  index_t rows, cols, support, filled;
};

/// All three entries in a queue that is not full (what is not filled holds NaN), with exclusion; by
/// the rows of a matrix, too.
template <class T>
void compare(const shape& at, gradient_mode mode, feaug::reduce reduction, bool normalize = true) {
  using C = feaug::compute_t<T>;
  CAPTURE(at.rows, at.cols, at.support, at.filled, static_cast<int>(reduction), normalize);
  two_operands<T> q(test_matrix<T>::normal(at.rows, at.cols, 1, 1), mode);
  const auto keys = test_matrix<T>::normal(at.rows, at.cols, 2, 2);
  const auto matrix = test_matrix<T>::normal(at.support, at.cols, 3, 1);
  auto storage = matrix;
  for (index_t slot = at.filled; slot < at.support; ++slot)
    storage.fill_row(slot, std::numeric_limits<double>::quiet_NaN());
  const device_copy<T> device_keys(keys);
  const device_copy<T> device_matrix(matrix);
  const device_copy<T> device_storage(storage);
  std::vector<index_t> counters = {at.filled % at.support, at.filled};
  const device_array<index_t> device_counters(counters);
  std::vector<std::int64_t> ids;
  for (index_t slot = 0; slot < at.support; ++slot) ids.push_back(slot);
  std::vector<std::int64_t> own;
  for (index_t i = 0; i < at.rows; ++i) own.push_back(at.filled == 1 ? 7 : i % 3);
  const device_array<std::int64_t> device_ids(ids);
  const device_array<std::int64_t> device_own(own);
  std::vector<C> weights;
  for (index_t i = 0; i < at.rows; ++i)
    weights.push_back(static_cast<C>(0.5 + 0.1 * static_cast<double>(i % 7)));
  const index_t outputs = reduction == feaug::reduce::none ? at.rows : 1;
  std::vector<C> loss(static_cast<std::size_t>(outputs));
  const std::vector<C> cotangent(loss.size(), C(0.7));
  const device_array<C> device_weights(weights);
  const device_array<C> device_loss(loss);
  const device_array<C> device_cotangent(cotangent);
  const feaug::support_queue<T> queue = {.storage = storage.view(),
                                         .cursor = counters.data(),
                                         .size = counters.data() + 1,
                                         .normalize = false,
                                         .ids = {ids.data(), at.support}};
  const feaug::device_support_queue<T> device_queue = {.storage = device_storage.view(),
                                                       .cursor = device_counters.data(),
                                                       .size = device_counters.data() + 1,
                                                       .normalize = false,
                                                       .ids = {device_ids.data(), at.support}};
  feaug::relation_distillation_options<T> host = {.temperature = 0.3,
                                                  .teacher_temperature = 0.2,
                                                  .reduction = reduction,
                                                  .normalize = normalize,
                                                  .exclude_ids = {own.data(), at.rows},
                                                  .gradient_scale = 3,
                                                  .row_weights = {weights.data(), at.rows}};
  feaug::device_relation_distillation_options<T> device = {
      .temperature = 0.3,
      .teacher_temperature = 0.2,
      .reduction = reduction,
      .normalize = normalize,
      .exclude_ids = {device_own.data(), at.rows},
      .gradient_scale = 3,
      .row_weights = {device_weights.data(), at.rows}};
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  const feaug::vector_view<C> to(loss.data(), outputs);
  const feaug::device_vector<C> device_to(device_loss.data(), outputs);
  const double tolerance = testing::tolerance<C>();

  feaug::relation_distillation(cpu, q.host().value, keys.view(), queue, to, host);
  feaug::relation_distillation(gpu, q.device().value, device_keys.view(), device_queue, device_to,
                               device);
  check_close(device_loss.to_host(), loss, tolerance);
  feaug::relation_distillation_backward(cpu, q.host(), keys.view(), queue,
                                        {cotangent.data(), outputs}, host);
  feaug::relation_distillation_backward(
      gpu, q.device(), device_keys.view(), device_queue,
      feaug::device_vector<const C>(device_cotangent.data(), outputs), device);
  q.check();
  host.exclude_ids = {};
  device.exclude_ids = {};
  feaug::relation_distillation_with_gradients(cpu, q.host(), keys.view(), matrix.view(), to, host);
  feaug::relation_distillation_with_gradients(gpu, q.device(), device_keys.view(),
                                              device_matrix.view(), device_to, device);
  check_close(device_loss.to_host(), loss, tolerance);
  q.check();
}

}  // namespace

TEMPLATE_TEST_CASE("relation_distillation is the CPU's", "[cuda][relation_distillation]", double,
                   float, feaug::bfloat16) {
  using T = TestType;
  for (const auto reduction : {feaug::reduce::mean, feaug::reduce::none}) {
    compare<T>({1, 1, 1, 1}, gradient_mode::overwrite, reduction);
    compare<T>({9, 7, 12, 5}, gradient_mode::accumulate, reduction);
    compare<T>({33, 19, 140, 131}, gradient_mode::overwrite, reduction);
    compare<T>({5, 40, 9, 4}, gradient_mode::none, reduction);
    compare<T>({6, 4, 9, 8}, gradient_mode::overwrite, reduction, false);
  }
}

TEST_CASE("relation_distillation's support of several tiles", "[cuda][relation_distillation]") {
  // Beyond 8192 columns there is more than one tile of columns.
  compare<float>({3, 2, 8300, 8250}, gradient_mode::overwrite, feaug::reduce::mean);
}

TEST_CASE("relation_distillation on a GPU at the edges", "[cuda][relation_distillation]") {
  auto x = test_matrix<float>::normal(5, 4, 1);
  x.fill_row(1, 0);
  x.fill_row(2, -1e18);
  const device_copy<float> q(x);
  const device_copy<float> dq(test_matrix<float>(5, 4));
  const device_copy<float> keys(test_matrix<float>::normal(5, 4, 2));
  const device_copy<float> storage(test_matrix<float>::normal(6, 4, 3));
  const device_array<index_t> counters({2, 2});
  const device_array<std::int64_t> ids({4, 4, 1, 2, 3, 5});
  const device_array<std::int64_t> own({1, 2, 3, 4, 5});  // row 3 is left nothing
  const feaug::device_support_queue<float> queue = {.storage = storage.view(),
                                                    .cursor = counters.data(),
                                                    .size = counters.data() + 1,
                                                    .ids = {ids.data(), 6}};
  const device_array<float> loss({5, 5, 5, 5, 5});
  feaug::cuda_context gpu;
  feaug::relation_distillation_with_gradients(
      gpu, feaug::differentiable(q.view(), dq.view()), keys.view(), queue,
      feaug::device_vector<float>(loss.data(), 5),
      {.temperature = 1e-3, .reduction = feaug::reduce::none, .exclude_ids = {own.data(), 5}});
  for (index_t i = 0; i < 5; ++i) {
    CHECK(std::isfinite(loss.to_host()[static_cast<std::size_t>(i)]) == (i != 3));
    for (index_t j = 0; j < 4; ++j) CHECK(std::isfinite(dq.host().get(i, j)) == (i != 3));
  }
  for (index_t j = 0; j < 4; ++j) CHECK(dq.host().get(1, j) == 0.0);
}

TEST_CASE("relation_distillation is the same bits in every order of threads",
          "[cuda][relation_distillation]") {
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    const device_copy<float> q(test_matrix<float>::normal(20, 11, 1));
    const device_copy<float> dq(test_matrix<float>(20, 11));
    const device_copy<float> support(test_matrix<float>::normal(150, 11, 2));
    const device_array<float> loss({0});
    feaug::cuda_context gpu;
    feaug::relation_distillation_with_gradients(gpu, feaug::differentiable(q.view(), dq.view()),
                                                q.view(), support.view(),
                                                feaug::device_vector<float>(loss.data(), 1));
    std::vector<double> all = dq.host().values();
    all.push_back(static_cast<double>(loss.to_host()[0]));
    if (first.empty()) first = all;
    CHECK(all == first);
  });
}

TEST_CASE("bad arguments of relation_distillation", "[cuda][relation_distillation]") {
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
  says("relation_distillation: support: got a pointer to ordinary host memory",
       [&] { feaug::relation_distillation(gpu, q.view(), q.view(), host_rows, to); });
  says("relation_distillation: keys: got a pointer to ordinary host memory",
       [&] { feaug::relation_distillation(gpu, q.view(), host_rows, q.view(), to); });
  says("relation_distillation: teacher_temperature: got 0", [&] {
    feaug::relation_distillation(gpu, q.view(), q.view(), q.view(), to, {.teacher_temperature = 0});
  });
}

}  // namespace relation_distillation_test
