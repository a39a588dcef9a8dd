// mean_shift and relation_distillation if the queue has fewer than k usable rows for a query, or
// none. The number of filled rows is known only on the device, so these cases give NaN where the
// CPU throws.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>

#include "cuda/support/device_copy.hpp"
#include "feaug/cuda/loss/mean_shift.cuh"
#include "feaug/cuda/loss/relation_distillation.cuh"

namespace queue_edges_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::index_t;
using testing::test_matrix;

TEST_CASE("losses with a queue on a GPU: edge cases", "[cuda][loss]") {
  auto rows = test_matrix<float>::normal(5, 4, 1);
  rows.fill_row(1, 0);
  rows.fill_row(2, -1e18);
  const device_copy<float> x(rows);
  const device_copy<float> dx(test_matrix<float>(5, 4));
  const device_copy<float> others(test_matrix<float>::normal(5, 4, 2));
  const device_copy<float> storage(test_matrix<float>::normal(6, 4, 3));
  const device_array<index_t> counters({2, 2});
  const device_array<std::int64_t> ids({4, 4, 1, 2, 3, 5});
  const device_array<std::int64_t> own({1, 2, 3, 4, 5});  // row 3 has no usable rows
  const feaug::device_support_queue<float> queue = {.storage = storage.view(),
                                                    .cursor = counters.data(),
                                                    .size = counters.data() + 1,
                                                    .ids = {ids.data(), 6}};
  const device_array<float> loss({5, 5, 5, 5, 5});
  const feaug::device_vector<float> to(loss.data(), 5);
  const auto operand = feaug::differentiable(x.view(), dx.view());
  feaug::cuda_context gpu;
  SECTION("mean_shift: k above the number of filled rows uses all of them") {
    feaug::mean_shift_with_gradients(
        gpu, operand, others.view(), queue, to,
        {.k = 3, .reduction = feaug::reduce::none, .exclude_ids = {own.data(), 5}});
    for (index_t i = 0; i < 5; ++i) {
      CHECK(std::isnan(loss.to_host()[static_cast<std::size_t>(i)]) == (i == 3));
      for (index_t j = 0; j < 4; ++j) CHECK(std::isnan(dx.host().get(i, j)) == (i == 3));
    }
  }
  SECTION("relation_distillation") {
    feaug::relation_distillation_with_gradients(
        gpu, operand, others.view(), queue, to,
        {.temperature = 1e-3, .reduction = feaug::reduce::none, .exclude_ids = {own.data(), 5}});
    for (index_t i = 0; i < 5; ++i) {
      CHECK(std::isfinite(loss.to_host()[static_cast<std::size_t>(i)]) == (i != 3));
      for (index_t j = 0; j < 4; ++j) CHECK(std::isfinite(dx.host().get(i, j)) == (i != 3));
    }
  }
  for (index_t j = 0; j < 4; ++j) CHECK(dx.host().get(1, j) == 0.0);
}

}  // namespace queue_edges_test
