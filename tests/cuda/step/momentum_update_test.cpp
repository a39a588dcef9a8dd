// momentum_update on a GPU compared with the CPU.
#include "feaug/cuda/step/momentum_update.cuh"

#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cpu/step/momentum_update.hpp"
#include "support/message_of.hpp"

namespace momentum_update_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::index_t;
using testing::message_of;
using testing::test_matrix;

namespace {

/// `count` tensors of different shapes, with and without padding. A count above 64 needs several
/// launches.
template <class T, class S>
void compare(int count, double momentum) {
  CAPTURE(count, momentum);
  std::vector<test_matrix<T>> targets;
  std::vector<test_matrix<S>> online;
  std::vector<device_copy<T>> device_targets;
  std::vector<device_copy<S>> device_online;
  for (int k = 0; k < count; ++k) {
    const auto seed = static_cast<unsigned>(k);
    const index_t rows = k % 5;
    const index_t cols = 1 + k % 7;
    targets.push_back(test_matrix<T>::normal(rows, cols, seed, k % 3));
    online.push_back(test_matrix<S>::normal(rows, cols, 1000 + seed, k % 2));
    device_targets.emplace_back(targets.back());
    device_online.emplace_back(online.back());
  }
  // One tensor longer than a block's share.
  targets.push_back(test_matrix<T>::normal(3, 2000, 5));
  online.push_back(test_matrix<S>::normal(3, 2000, 6));
  device_targets.emplace_back(targets.back());
  device_online.emplace_back(online.back());
  std::vector<feaug::momentum_pair<T, S>> pairs;
  std::vector<feaug::device_momentum_pair<T, S>> device_pairs;
  for (std::size_t k = 0; k < targets.size(); ++k) {
    pairs.push_back({targets[k].view(), online[k].view()});
    device_pairs.push_back({device_targets[k].view(), device_online[k].const_view()});
  }
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  feaug::momentum_update(cpu, pairs, momentum);
  feaug::momentum_update(gpu, device_pairs, momentum);
  const auto check = [&] {
    for (std::size_t k = 0; k < targets.size(); ++k) {
      CHECK(testing::relative_error(device_targets[k].host().values(), targets[k].values()) <=
            testing::tolerance<T>());
      CHECK(device_targets[k].host().padding_intact());
    }
  };
  check();
  // Momentum from device memory, in both precisions.
  const device_array<double> in_double({momentum});
  feaug::momentum_update(cpu, pairs, momentum);
  feaug::momentum_update(gpu, device_pairs,
                         feaug::device_vector<const double>(in_double.data(), 1));
  check();
  const device_array<float> in_float({static_cast<float>(momentum)});
  feaug::momentum_update(cpu, pairs, static_cast<double>(static_cast<float>(momentum)));
  feaug::momentum_update(gpu, device_pairs, feaug::device_vector<float>(in_float.data(), 1));
  check();
}

}  // namespace

TEST_CASE("momentum_update agrees with the CPU", "[cuda][momentum_update]") {
  compare<float, float>(0, 0.3);
  compare<float, float>(64, 0.9);
  compare<float, float>(150, 0.0);
  compare<double, double>(9, 0.996);
  compare<double, double>(5, 1.0);
  compare<feaug::half, feaug::half>(6, 0.5);
  compare<float, feaug::bfloat16>(6, 0.9);
}

TEST_CASE("momentum_update gives the same bits for every thread schedule",
          "[cuda][momentum_update]") {
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    const device_copy<float> target(test_matrix<float>::normal(30, 200, 1, 1));
    const device_copy<float> online(test_matrix<float>::normal(30, 200, 2));
    feaug::cuda_context gpu;
    const std::vector<feaug::device_momentum_pair<float>> pairs = {
        {target.view(), online.const_view()}};
    feaug::momentum_update(gpu, pairs, 0.9);
    const auto all = target.host().values();
    if (first.empty()) first = all;
    CHECK(all == first);
  });
}

TEST_CASE("momentum_update rejects invalid arguments, or gives NaN", "[cuda][momentum_update]") {
  feaug::cuda_context gpu;
  const device_copy<float> a(test_matrix<float>::normal(4, 3, 1));
  const device_copy<float> b(test_matrix<float>::normal(4, 3, 2));
  auto on_host = test_matrix<float>::normal(4, 3, 3);
  std::vector<feaug::device_momentum_pair<float>> pairs = {{a.view(), b.const_view()}};
  CHECK(message_of([&] { feaug::momentum_update(gpu, pairs, 2.0); }) ==
        "momentum_update: momentum: got 2, wanted a number from 0 to 1");
  CHECK(message_of([&] {
          feaug::momentum_update(gpu, pairs, feaug::device_vector<const float>());
        }) == "momentum_update: momentum: got 0 elements, wanted 1 (a scalar)");
  float number = 0.5F;
  CHECK(message_of([&] {
          feaug::momentum_update(gpu, pairs, feaug::device_vector<const float>(&number, 1));
        }) ==
        "momentum_update: momentum: got a pointer to ordinary host memory, wanted device memory");
  const device_array<double> outside({-0.5});
  feaug::momentum_update(gpu, pairs, feaug::device_vector<const double>(outside.data(), 1));
  for (const double value : a.host().values()) CHECK(std::isnan(value));
  pairs[0].online = feaug::device_matrix<const float>(on_host.view().data, 4, 3);
  CHECK(message_of([&] { feaug::momentum_update(gpu, pairs, 0.5); }) ==
        "momentum_update: pairs[0].online: got a pointer to ordinary host memory, wanted device "
        "memory");
  pairs[0].online = a.const_view();
  CHECK(message_of([&] { feaug::momentum_update(gpu, pairs, 0.5); }) ==
        "momentum_update: pairs[0].target: got memory that overlaps pairs[0].online, wanted memory "
        "of its own");
}

}  // namespace momentum_update_test
