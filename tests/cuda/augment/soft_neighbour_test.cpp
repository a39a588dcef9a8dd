// Neighbours on a GPU for cases in which the CPU throws: no neighbours, and invalid slots.
#include "feaug/cuda/augment/soft_neighbour.cuh"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "feaug/cuda/augment/neighbour.cuh"

namespace soft_neighbour_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::index_t;
using testing::test_matrix;

TEST_CASE("rows without a neighbour become NaN", "[cuda][soft_neighbour][neighbour]") {
  feaug::cuda_context gpu;
  const device_copy<float> storage(test_matrix<float>::normal(9, 5, 3));
  const device_array<index_t> counters({1, 1});
  const device_array<std::int64_t> ids({0, 1, 2, 0, 1, 2, 0, 1, 2});
  const feaug::device_support_queue<float> queue = {.storage = storage.view(),
                                                    .cursor = counters.data(),
                                                    .size = counters.data() + 1,
                                                    .normalize = false,
                                                    .ids = {ids.data(), 9}};
  const device_copy<float> x(test_matrix<float>::normal(8, 5, 1));
  const device_copy<float> out(test_matrix<float>(8, 5));
  const std::vector<std::int64_t> own = {0, 1, 2, 0, 1, 2, 0, 1};
  const device_array<std::int64_t> device_own(own);
  const auto policy =
      feaug::soft_neighbour_from(queue, {.k = 1}, {.exclude_ids = {device_own.data(), 8}});
  feaug::augment(gpu, policy, x.const_view(), {}, out.view());
  const std::vector<double> values = out.host().values();
  feaug::augment_backward(gpu, policy, differentiable(x.view(), out.view()), {}, x.const_view());
  const std::vector<double> gradients = out.host().values();
  for (std::size_t e = 0; e < 40; ++e) {
    CHECK(std::isnan(values[e]) == (own[e / 5] == 0));
    CHECK(std::isnan(gradients[e]) == (own[e / 5] == 0));
  }
  const device_array<index_t> empty({0, 0});
  auto unfilled = queue;
  unfilled.cursor = empty.data();
  unfilled.size = empty.data() + 1;
  feaug::augment(gpu, feaug::neighbour_from(unfilled, feaug::mean_neighbour{}), x.const_view(), {},
                 out.view());
  for (const double value : out.host().values()) CHECK(std::isnan(value));
}

TEST_CASE("slots outside the support count as missing", "[cuda][soft_neighbour]") {
  feaug::cuda_context gpu;
  const device_copy<float> x(test_matrix<float>::normal(8, 5, 1));
  const device_copy<float> rows(test_matrix<float>::normal(9, 5, 3));
  const device_array<index_t> wild({-1, 9, 77, -1, -3, 0, 5, 1, 9, 9, -1, -1, 2, 3, 4, 4});
  const device_copy<float> dx(test_matrix<float>(8, 5));
  const auto policy = feaug::soft_neighbour_from(
      rows.view(), {.k = 2, .temperature = 0.2, .fallback = feaug::neighbour_fallback::query},
      {.indices = {wild.data(), 8, 2}});
  feaug::augment_backward(gpu, policy, differentiable(x.view(), dx.view()), {}, x.const_view());
  for (const double v : dx.host().values()) CHECK(std::isfinite(v));
}

}  // namespace soft_neighbour_test
