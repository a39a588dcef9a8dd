// Row mixes on a GPU: draws given as inputs, and output over the partner.
#include "feaug/cuda/augment/row_mix.cuh"

#include <catch2/catch.hpp>
#include <vector>

#include "cuda/support/device_copy.hpp"

namespace row_mix_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::index_t;
using testing::test_matrix;

namespace {

constexpr feaug::random_key key{.seed = 11, .step = 5, .stream = 2, .row_offset = 3};

}  // namespace

TEST_CASE("slerp equals slerp with given draws", "[cuda][augment][row_mix]") {
  feaug::cuda_context gpu;
  const device_array<index_t> order(std::vector<index_t>(37));
  const device_array<float> weights(std::vector<float>(37));
  const feaug::slerp mix{.distribution = feaug::weight_distribution::beta};
  feaug::draw(gpu, mix, key, feaug::device_vector<float>(weights.data(), 37),
              feaug::device_vector<index_t>(order.data(), 37));
  const auto x = test_matrix<float>::normal(37, 20, 1);
  test_matrix<float> partner(37, 20);
  const std::vector<index_t> drawn = order.to_host();
  for (index_t i = 0; i < 37; ++i) {
    for (index_t j = 0; j < 20; ++j)
      partner.set(i, j, x.get(drawn[static_cast<std::size_t>(i)], j));
  }
  const device_copy<float> device_x(x);
  const device_copy<float> device_partner(partner);
  const device_copy<float> by_draw(x);
  const device_copy<float> given(x);
  feaug::augment(gpu, mix, device_x.const_view(), key, by_draw.view());
  feaug::augment(gpu,
                 feaug::with_weights(mix, feaug::stop_gradient(device_partner.const_view()),
                                     {weights.data(), 37}),
                 device_x.const_view(), key, given.view());
  CHECK(given.host().values() == by_draw.host().values());
}

TEMPLATE_TEST_CASE("a row mix can write over its partner", "[cuda][augment][row_mix]", feaug::slerp,
                   feaug::exchange_moments) {
  const auto partner = test_matrix<float>::normal(19, 70, 5, 1);
  const device_copy<float> x(test_matrix<float>::normal(19, 70, 4, 2));
  const device_copy<float> over_partner(partner);
  const device_copy<float> device_partner(partner);
  const device_copy<float> out(partner);
  feaug::cuda_context gpu;
  const TestType mix;
  feaug::augment(gpu, feaug::with_partner(mix, device_partner.const_view()), x.const_view(), key,
                 out.view());
  feaug::augment(gpu, feaug::with_partner(mix, over_partner.const_view()), x.const_view(), key,
                 over_partner.view());
  CHECK(over_partner.host().values() == out.host().values());
}

}  // namespace row_mix_test
