// soft_neighbour_contrast on tensor cores compared with plain products.
#include "feaug/cuda/loss/soft_neighbour_contrast.cuh"

#include <catch2/catch.hpp>
#include <vector>

#include "cuda/support/device_copy.hpp"

namespace soft_neighbour_contrast_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::index_t;
using testing::test_matrix;

namespace {

/// Loss and gradients in one list.
std::vector<double> loss_and_gradients(feaug::cuda_context& gpu, index_t rows, index_t cols,
                                       index_t k) {
  const device_copy<float> q(test_matrix<float>::normal(rows, cols, 1));
  const device_copy<float> keys(test_matrix<float>::normal(rows, cols, 2));
  const device_copy<float> neighbours(test_matrix<float>::normal(rows * k, cols, 3));
  const device_copy<float> dq(test_matrix<float>(rows, cols));
  const device_copy<float> dz(test_matrix<float>(rows, cols));
  const device_array<float> loss({0});
  feaug::soft_neighbour_contrast_with_gradients(
      gpu, feaug::differentiable(q.view(), dq.view()), keys.view(), neighbours.view(),
      feaug::device_vector<float>(loss.data(), 1),
      {.attention = feaug::differentiable(q.view(), dz.view())});
  std::vector<double> all = dq.host().values();
  for (const double value : dz.host().values()) all.push_back(value);
  all.push_back(static_cast<double>(loss.to_host()[0]));
  return all;
}

}  // namespace

TEST_CASE("soft_neighbour_contrast on tensor cores is close to plain products",
          "[cuda][soft_neighbour_contrast]") {
  feaug::cuda_context plain;
  feaug::cuda_context fused{.precision = feaug::product_precision::bf16, .tensor_cores = true};
  const std::vector<double> want = loss_and_gradients(plain, 70, 24, 2);
  const std::vector<double> got = loss_and_gradients(fused, 70, 24, 2);
  CHECK(testing::relative_error(got, want) < 2e-2);
  CHECK(got != want);  // a different kernel ran
}

}  // namespace soft_neighbour_contrast_test
