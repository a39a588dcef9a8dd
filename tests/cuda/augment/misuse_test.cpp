// Error messages of augmentations on a GPU, other than those for host memory (agreement_test.cpp).
// Checks that nothing is written.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "feaug/cuda/augment/covariance_noise.cuh"
#include "feaug/cuda/augment/mask.cuh"
#include "feaug/cuda/augment/mix.cuh"
#include "feaug/cuda/augment/pseudo_neighbour.cuh"
#include "feaug/cuda/augment/row_mix.cuh"
#include "feaug/cuda/augment/soft_neighbour.cuh"
#include "support/message_of.hpp"

namespace misuse_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::index_t;
using testing::message_of;
using testing::test_matrix;

namespace {

const std::string on_host = ": got a pointer to ordinary host memory, wanted device memory";

}  // namespace

TEST_CASE("augmentations on a GPU reject invalid options, shapes and overlaps", "[cuda][augment]") {
  feaug::cuda_context gpu;
  const auto host = test_matrix<float>::normal(4, 6, 1);
  const device_copy<float> x(host);
  const device_copy<float> out(host);
  const auto says = [&](const auto& policy, const feaug::device_matrix<float>& to,
                        const std::string& wanted) {
    CHECK(message_of([&] { feaug::augment(gpu, policy, x.const_view(), {}, to); }) == wanted);
    CHECK(out.host().values() == host.values());
    CHECK(x.host().values() == host.values());
  };
  says(feaug::mask{.keep_probability = 2}, out.view(),
       "mask: keep_probability: got 2, wanted a number from 0 to 1");
  says(feaug::mask{}, {out.view().data, 3, 6},
       "mask: out: got shape (3, 6), wanted shape (4, 6) as x");
  const std::string overlap = ": out: got memory that overlaps x, wanted memory of its own";
  says(feaug::interpolate{}, x.view(), "interpolate" + overlap);
  says(feaug::slerp{}, x.view(), "slerp" + overlap);
  says(feaug::slerp{.weight = 2}, out.view(), "slerp: weight: got 2, wanted a weight from 0 to 1");
  says(feaug::exchange_moments{.eps = 0}, out.view(),
       "exchange_moments: eps: got 0, wanted a finite number above 0");

  const device_copy<float> support(test_matrix<float>::normal(9, 6, 2));
  const device_array<index_t> counters({0, 9});
  feaug::device_support_queue<float> queue = {
      .storage = support.view(), .cursor = counters.data(), .size = counters.data() + 1};
  says(neighbour_from(queue, feaug::mean_neighbour{.k = 10}), out.view(),
       "mean_neighbour: k: got 10, wanted a number from 1 to 9");
  says(feaug::soft_neighbour_from(queue, {.k = 10}), out.view(),
       "soft_neighbour: k: got 10, wanted a number from 1 to 9");
  const std::vector<float> choice(4);
  says(feaug::with_choice(neighbour_from(queue, feaug::random_neighbour{}),
                          feaug::device_vector<const float>(choice.data(), 4)),
       out.view(), "random_neighbour: choice" + on_host);
  index_t host_counter = 9;
  queue.size = &host_counter;
  says(feaug::soft_neighbour_from(queue, {.k = 2}), out.view(),
       "soft_neighbour: queue.size" + on_host);

  const device_array<index_t> order(std::vector<index_t>(8));
  feaug::device_vector<index_t> every_other(order.data(), 4);
  every_other.strides[0] = 2;
  CHECK(message_of([&] { feaug::draw(gpu, feaug::exchange_moments{}, {}, every_other); }) ==
        "draw: permutation: got stride 2, wanted stride 1");
}

TEST_CASE("update_covariance on a GPU rejects invalid arguments", "[cuda][augment][covariance]") {
  feaug::cuda_context gpu;
  const device_copy<float> x(test_matrix<float>::normal(4, 3, 1));
  const device_array<double> mean({0, 0, 0});
  const device_copy<double> covariance(test_matrix<double>(3, 3));
  const device_copy<double> factor(test_matrix<double>(3, 3));
  const device_array<index_t> count({0});
  const feaug::device_running_covariance state = {.mean = {mean.data(), 3},
                                                  .covariance = covariance.view(),
                                                  .factor = factor.view(),
                                                  .count = count.data()};
  const auto says = [&](const std::string& wanted, const auto& change) {
    auto view = state;
    change(view);
    CHECK(message_of([&] { feaug::update_covariance(gpu, view, x.const_view()); }) ==
          "update_covariance: " + wanted);
  };
  index_t host_count = 0;
  test_matrix<double> host_factor(3, 3);
  says("state.count: got a null pointer, wanted a counter in device memory",
       [](auto& view) { view.count = nullptr; });
  says("state.count" + on_host, [&](auto& view) { view.count = &host_count; });
  says("state.factor" + on_host, [&](auto& view) { view.factor.data = host_factor.view().data; });
  CHECK(count.to_host() == std::vector<index_t>{0});
}

}  // namespace misuse_test
