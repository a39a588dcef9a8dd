// mean_shift on a GPU against the CPU's.
#include "feaug/cuda/loss/mean_shift.cuh"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "cuda/loss/two_operands.hpp"
#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cpu/loss/mean_shift.hpp"
#include "support/message_of.hpp"

namespace mean_shift_test {

using device_test::check_close;
using device_test::device_array;
using device_test::device_copy;
using device_test::two_operands;
using feaug::gradient_mode;
using feaug::index_t;
using testing::test_matrix;

namespace {

struct shape {
  index_t rows, cols, support, filled, k;
};

/// All three entries in a queue that is not full, with exclusion; by the rows of the matrix, too.
template <class T>
void compare(const shape& at, gradient_mode mode, feaug::reduce reduction) {
  using C = feaug::compute_t<T>;
  CAPTURE(at.rows, at.cols, at.support, at.filled, at.k, static_cast<int>(reduction));
  two_operands<T> p(test_matrix<T>::normal(at.rows, at.cols, 1, 1), mode);
  auto targets = test_matrix<T>::normal(at.rows, at.cols, 2, 2);
  if (at.rows > 4) targets.set(3, 0, std::numeric_limits<double>::quiet_NaN());
  auto storage = test_matrix<T>::normal(at.support, at.cols, 3, 1);
  const device_copy<T> device_targets(targets);
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
  std::vector<index_t> indices(static_cast<std::size_t>(at.rows * at.k), -5);
  const device_array<C> device_weights(weights);
  const device_array<C> device_loss(loss);
  const device_array<C> device_cotangent(cotangent);
  const device_array<index_t> device_indices(indices);
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
  const feaug::mean_shift_options<T> host = {.k = at.k,
                                             .reduction = reduction,
                                             .exclude_ids = {own.data(), at.rows},
                                             .gradient_scale = 3,
                                             .row_weights = {weights.data(), at.rows}};
  const feaug::device_mean_shift_options<T> device = {
      .k = at.k,
      .reduction = reduction,
      .exclude_ids = {device_own.data(), at.rows},
      .gradient_scale = 3,
      .row_weights = {device_weights.data(), at.rows}};
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  const feaug::vector_view<C> to(loss.data(), outputs);
  const feaug::device_vector<C> device_to(device_loss.data(), outputs);
  const feaug::matrix_view<index_t> slots(indices.data(), at.rows, at.k);
  const feaug::device_matrix<index_t> device_slots(device_indices.data(), at.rows, at.k);
  const double tolerance = testing::tolerance<C>();

  feaug::mean_shift(cpu, p.host().value, targets.view(), queue, to, host, slots);
  feaug::mean_shift(gpu, p.device().value, device_targets.view(), device_queue, device_to, device,
                    device_slots);
  CHECK(device_indices.to_host() == indices);
  check_close(device_loss.to_host(), loss, tolerance);
  feaug::mean_shift_backward(cpu, p.host(), queue, slots, {cotangent.data(), outputs}, host);
  feaug::mean_shift_backward(gpu, p.device(), device_queue, device_slots,
                             feaug::device_vector<const C>(device_cotangent.data(), outputs),
                             device);
  p.check();
  feaug::mean_shift_options<T> host_all = host;
  feaug::device_mean_shift_options<T> device_all = device;
  host_all.exclude_ids = {};
  device_all.exclude_ids = {};
  feaug::mean_shift_with_gradients(cpu, p.host(), targets.view(), storage.view(), to, host_all);
  feaug::mean_shift_with_gradients(gpu, p.device(), device_targets.view(), device_storage.view(),
                                   device_to, device_all);
  check_close(device_loss.to_host(), loss, tolerance);
  p.check();
}

}  // namespace

TEMPLATE_TEST_CASE("mean_shift is the CPU's", "[cuda][mean_shift]", double, float,
                   feaug::bfloat16) {
  using T = TestType;
  for (const auto reduction : {feaug::reduce::mean, feaug::reduce::none}) {
    compare<T>({1, 1, 1, 1, 1}, gradient_mode::overwrite, reduction);
    compare<T>({9, 7, 12, 5, 4}, gradient_mode::accumulate, reduction);
    compare<T>({33, 19, 70, 70, 3}, gradient_mode::overwrite, reduction);
    compare<T>({5, 131, 9, 4, 2}, gradient_mode::none, reduction);
  }
}

TEST_CASE("mean_shift on a GPU at the edges", "[cuda][mean_shift]") {
  auto x = test_matrix<float>::normal(5, 4, 1);
  x.fill_row(1, 0);
  x.fill_row(2, -1e18);
  const device_copy<float> p(x);
  const device_copy<float> dp(test_matrix<float>(5, 4));
  const device_copy<float> targets(test_matrix<float>::normal(5, 4, 2));
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
  // k beyond the filled rows: what there is.
  feaug::mean_shift_with_gradients(
      gpu, feaug::differentiable(p.view(), dp.view()), targets.view(), queue,
      feaug::device_vector<float>(loss.data(), 5),
      {.k = 3, .reduction = feaug::reduce::none, .exclude_ids = {own.data(), 5}});
  for (index_t i = 0; i < 5; ++i) {
    CHECK(std::isnan(loss.to_host()[static_cast<std::size_t>(i)]) == (i == 3));
    for (index_t j = 0; j < 4; ++j) CHECK(std::isnan(dp.host().get(i, j)) == (i == 3));
  }
  for (index_t j = 0; j < 4; ++j) CHECK(dp.host().get(1, j) == 0.0);
}

TEST_CASE("mean_shift is the same bits in every order of threads", "[cuda][mean_shift]") {
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    const device_copy<float> p(test_matrix<float>::normal(30, 11, 1));
    const device_copy<float> dp(test_matrix<float>(30, 11));
    const device_copy<float> support(test_matrix<float>::normal(40, 11, 2));
    const device_array<float> loss({0});
    feaug::cuda_context gpu;
    feaug::mean_shift_with_gradients(gpu, feaug::differentiable(p.view(), dp.view()), p.view(),
                                     support.view(), feaug::device_vector<float>(loss.data(), 1));
    std::vector<double> all = dp.host().values();
    all.push_back(static_cast<double>(loss.to_host()[0]));
    if (first.empty()) first = all;
    CHECK(all == first);
  });
}

TEST_CASE("bad arguments of mean_shift", "[cuda][mean_shift]") {
  feaug::cuda_context gpu;
  const device_copy<float> p(test_matrix<float>::normal(4, 3, 1));
  const device_array<float> loss({0});
  const feaug::device_vector<float> to(loss.data(), 1);
  std::vector<index_t> on_host(8);
  const auto says = [](const std::string& part, const auto& call) {
    const std::string message = testing::message_of(call);
    CAPTURE(message);
    CHECK(message.find(part) != std::string::npos);
  };
  says("mean_shift: k: got 5, wanted a number from 1 to 4",
       [&] { feaug::mean_shift(gpu, p.view(), p.view(), p.view(), to); });
  says("mean_shift: indices: got a pointer to ordinary host memory", [&] {
    feaug::mean_shift(gpu, p.view(), p.view(), p.view(), to, {.k = 2},
                      feaug::device_matrix<index_t>(on_host.data(), 4, 2));
  });
  says("mean_shift_backward: indices: got shape (4, 2), wanted shape (4, 3)", [&] {
    feaug::mean_shift_backward(gpu, feaug::stop_gradient(p.view()), p.view(),
                               feaug::device_matrix<index_t>(on_host.data(), 4, 2), to, {.k = 3});
  });
}

}  // namespace mean_shift_test
