// hypersphere on a GPU against the CPU's.
#include "feaug/cuda/loss/hypersphere.cuh"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "cuda/loss/two_operands.hpp"
#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cpu/loss/hypersphere.hpp"
#include "support/message_of.hpp"

namespace hypersphere_test {

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

/// All three entries.
template <class T>
void compare(index_t rows, index_t cols, gradient_mode a_mode, gradient_mode b_mode,
             feaug::hypersphere_options options = {}) {
  using C = feaug::compute_t<T>;
  CAPTURE(rows, cols, options.t, options.alpha);
  options.gradient_scale = 3;
  two_operands<T> a(test_matrix<T>::normal(rows, cols, 1, 1), a_mode);
  two_operands<T> b(test_matrix<T>::normal(rows, cols, 2), b_mode);
  std::vector<C> value(1);
  std::vector<C> cotangent(1, C(0.7));
  const device_array<C> device_value(value);
  const device_array<C> device_cotangent(cotangent);
  feaug::cpu_context cpu{.threads = 2};
  feaug::cuda_context gpu;
  const feaug::vector_view<C> to(value.data(), 1);
  const feaug::device_vector<C> device_to(device_value.data(), 1);
  const auto check_loss = [&] {
    check_close(device_value.to_host(), value, testing::tolerance<C>());
  };
  feaug::hypersphere(cpu, a.host().value, b.host().value, to, options);
  feaug::hypersphere(gpu, a.device().value, b.device().value, device_to, options);
  check_loss();
  feaug::hypersphere_backward(cpu, a.host(), b.host(), {cotangent.data(), 1}, options);
  feaug::hypersphere_backward(gpu, a.device(), b.device(), {device_cotangent.data(), 1}, options);
  a.check();
  b.check();
  feaug::hypersphere_with_gradients(cpu, a.host(), b.host(), to, options);
  feaug::hypersphere_with_gradients(gpu, a.device(), b.device(), device_to, options);
  check_loss();
  a.check();
  b.check();
}

/// Loss and gradients of float views: a's, b's, the loss.
std::vector<double> found(feaug::cuda_context& gpu, const test_matrix<float>& x,
                          const test_matrix<float>& y, const feaug::hypersphere_options& options) {
  const device_copy<float> a(x);
  const device_copy<float> b(y);
  const device_copy<float> da(test_matrix<float>(x.rows(), x.cols()));
  const device_copy<float> db(test_matrix<float>(x.rows(), x.cols()));
  const device_array<float> value({0});
  feaug::hypersphere_with_gradients(gpu, feaug::differentiable(a.view(), da.view()),
                                    feaug::differentiable(b.view(), db.view()), {value.data(), 1},
                                    options);
  std::vector<double> all = da.host().values();
  for (const double v : db.host().values()) all.push_back(v);
  all.push_back(static_cast<double>(value.to_host()[0]));
  return all;
}

}  // namespace

TEST_CASE("hypersphere is the CPU's", "[cuda][loss]") {
  compare<double>(2, 3, overwrite, overwrite);
  compare<double>(9, 1, overwrite, overwrite, {.alpha = 3});
  compare<double>(40, 67, none, add, {.t = 3, .alpha = 1});
  compare<double>(7, 3, overwrite, overwrite, {.t = 400});
  compare<float>(70, 33, add, overwrite, {.lam = 0.5});
  compare<float>(6, 3, none, none);
  compare<feaug::half>(9, 5, overwrite, add);
  compare<feaug::bfloat16>(9, 5, add, overwrite);
  // More than one tile of rows.
  compare<float>(2060, 2, overwrite, none);
}

TEST_CASE("hypersphere on tensor cores is as near as the chunks", "[cuda][fused]") {
  const auto x = test_matrix<float>::normal(130, 20, 1);
  const auto y = test_matrix<float>::normal(130, 20, 2);
  feaug::cuda_context chunks;
  feaug::cuda_context fused{.precision = feaug::product_precision::bf16, .tensor_cores = true};
  const std::vector<double> want = found(chunks, x, y, {});
  const std::vector<double> got = found(fused, x, y, {});
  CHECK(got != want);
  CHECK(testing::relative_error(got, want) < 1e-2);
}

TEST_CASE("hypersphere is the same bits in every order of threads", "[cuda][loss]") {
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    feaug::cuda_context gpu;
    const std::vector<double> all = found(gpu, test_matrix<float>::normal(20, 40, 1),
                                          test_matrix<float>::normal(20, 40, 2), {});
    if (first.empty()) first = all;
    CHECK(all == first);
  });
}

TEST_CASE("hypersphere at the edges", "[cuda][loss]") {
  feaug::cuda_context gpu;
  auto x = test_matrix<float>::normal(5, 6, 1);
  const auto y = test_matrix<float>::normal(5, 6, 2);
  x.fill_row(1, 0);
  x.fill_row(2, -1e18);
  x.fill_row(3, 1e-30);
  const std::vector<double> all = found(gpu, x, y, {.t = 1e3, .alpha = 0.5});
  for (const double value : all) CHECK(std::isfinite(value));
  for (std::size_t j = 0; j < 6; ++j) CHECK((all[6 + j] == 0 && all[18 + j] == 0));
  // Views that agree.
  const std::vector<double> same = found(gpu, y, y, {.lam = 0, .alpha = 0.5});
  CHECK(same == std::vector<double>(61, 0.0));
  x.set(2, 0, std::numeric_limits<double>::quiet_NaN());
  CHECK(std::isnan(found(gpu, x, y, {}).back()));
  CHECK(std::isnan(found(gpu, y, x, {}).back()));
}

TEST_CASE("bad arguments of hypersphere", "[cuda][loss]") {
  using testing::message_of;
  feaug::cuda_context gpu;
  const device_copy<float> z(test_matrix<float>::normal(4, 3, 1));
  const device_array<float> value({0});
  const feaug::device_vector<float> to(value.data(), 1);
  float on_host = 0;
  const feaug::device_vector<float> host_number(&on_host, 1);
  const auto x = feaug::stop_gradient(z.view());
  const auto one_row = z.view().rows_from(0, 1);
  CHECK(message_of([&] { feaug::hypersphere(gpu, z.view(), z.view(), host_number); }) ==
        "hypersphere: loss: got a pointer to ordinary host memory, wanted device memory");
  CHECK(message_of([&] { feaug::hypersphere(gpu, one_row, one_row, to); }) ==
        "hypersphere: a: got 1 row, wanted at least 2, since the loss is of statistics over rows");
  CHECK(message_of([&] { feaug::hypersphere_with_gradients(gpu, x, x, to, {.t = -1}); }) ==
        "hypersphere_with_gradients: t: got -1, wanted a finite number above 0");
  CHECK(message_of([&] { feaug::hypersphere_backward(gpu, x, x, host_number); }) ==
        "hypersphere_backward: cotangent: got a pointer to ordinary host memory, wanted device "
        "memory");
}

}  // namespace hypersphere_test
