// hypersphere on a GPU: tensor cores, zero rows, equal views.
#include "feaug/cuda/loss/hypersphere.cuh"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "support/test_matrix.hpp"

namespace hypersphere_test {

using device_test::device_array;
using device_test::device_copy;
using testing::test_matrix;

namespace {

/// Gradients and loss of float views: a's, b's, the loss.
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

TEST_CASE("hypersphere on tensor cores is close to the chunks", "[cuda][fused]") {
  const auto x = test_matrix<float>::normal(130, 20, 1);
  const auto y = test_matrix<float>::normal(130, 20, 2);
  feaug::cuda_context chunks;
  feaug::cuda_context fused{.precision = feaug::product_precision::bf16, .tensor_cores = true};
  const std::vector<double> want = found(chunks, x, y, {});
  const std::vector<double> got = found(fused, x, y, {});
  CHECK(got != want);
  CHECK(testing::relative_error(got, want) < 1e-2);
}

TEST_CASE("hypersphere on a GPU: edge cases", "[cuda][loss]") {
  feaug::cuda_context gpu;
  auto x = test_matrix<float>::normal(5, 6, 1);
  const auto y = test_matrix<float>::normal(5, 6, 2);
  x.fill_row(1, 0);
  x.fill_row(2, -1e18);
  x.fill_row(3, 1e-30);
  const std::vector<double> all = found(gpu, x, y, {.t = 1e3, .alpha = 0.5});
  for (const double value : all) CHECK(std::isfinite(value));
  for (std::size_t j = 0; j < 6; ++j) CHECK((all[6 + j] == 0 && all[18 + j] == 0));
  // Equal views.
  const std::vector<double> same = found(gpu, y, y, {.lam = 0, .alpha = 0.5});
  CHECK(same == std::vector<double>(61, 0.0));
  x.set(2, 0, std::numeric_limits<double>::quiet_NaN());
  CHECK(std::isnan(found(gpu, x, y, {}).back()));
  CHECK(std::isnan(found(gpu, y, x, {}).back()));
}

}  // namespace hypersphere_test
