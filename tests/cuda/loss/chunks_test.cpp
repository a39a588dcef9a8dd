// Losses without a fused kernel compute logits in chunks, also with tensor cores enabled.
#include <catch2/catch.hpp>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "feaug/cuda/loss/sigmoid.cuh"
#include "feaug/cuda/loss/supervised_contrastive.cuh"

namespace chunks_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::index_t;
using testing::test_matrix;

namespace {

/// call(context, loss) must give a loss above 0, the same with and without tensor cores.
template <class Call>
void check(const Call& call) {
  const device_array<float> loss({0, 0});
  feaug::cuda_context plain;
  feaug::cuda_context tensor;
  tensor.tensor_cores = true;
  plain.precision = tensor.precision = feaug::product_precision::bf16;
  call(plain, feaug::device_vector<float>(loss.data(), 1));
  call(tensor, feaug::device_vector<float>(loss.data() + 1, 1));
  CHECK(loss.to_host()[0] > 0);
  CHECK(loss.to_host()[0] == loss.to_host()[1]);
}

}  // namespace

TEST_CASE("losses without a fused kernel use chunks in a context with tensor cores",
          "[cuda][loss]") {
  const device_copy<float> a(test_matrix<float>::normal(20, 8, 1));
  const device_copy<float> b(test_matrix<float>::normal(20, 8, 2));
  std::vector<index_t> classes;
  for (index_t i = 0; i < 20; ++i) classes.push_back(i % 3 == 2 ? 1000 + i : (i * 7) % 3 - 1);
  const device_array<index_t> labels(classes);
  check([&](auto& ctx, const auto& loss) { feaug::sigmoid(ctx, a.view(), b.view(), loss); });
  check([&](auto& ctx, const auto& loss) {
    feaug::supervised_contrastive(ctx, a.view(),
                                  feaug::device_vector<const index_t>(labels.data(), 20), loss);
  });
}

}  // namespace chunks_test
