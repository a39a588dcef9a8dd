// Running covariances on a GPU compared with the CPU: states, draws, thread schedules.
#include "feaug/cuda/augment/covariance_noise.cuh"

#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cpu/augment/covariance_noise.hpp"
#include "support/covariance_memory.hpp"

namespace covariance_noise_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::index_t;
using feaug::random_key;
using testing::covariance_memory;
using testing::test_matrix;
using testing::variance_memory;

namespace {

constexpr random_key key{.seed = 11, .step = 5, .stream = 2, .row_offset = 3};

/// A state in device memory.
struct device_covariance {
  device_array<double> mean;
  device_copy<double> covariance;
  device_copy<double> factor;
  device_array<index_t> count;

  explicit device_covariance(const covariance_memory& host)
      : mean(host.mean),
        covariance(host.covariance),
        factor(host.factor),
        count(std::vector<index_t>{host.count}) {}
  [[nodiscard]] feaug::device_running_covariance view() const {
    return {.mean = {mean.data(), static_cast<index_t>(mean.size())},
            .covariance = covariance.view(),
            .factor = factor.view(),
            .count = count.data()};
  }
};

struct device_variance {
  device_array<double> mean;
  device_array<double> variance;
  device_array<double> deviation;
  device_array<index_t> count;

  explicit device_variance(const variance_memory& host)
      : mean(host.mean),
        variance(host.variance),
        deviation(host.deviation),
        count(std::vector<index_t>{host.count}) {}
  [[nodiscard]] feaug::device_running_variance view() const {
    const auto cols = static_cast<index_t>(mean.size());
    return {.mean = {mean.data(), cols},
            .variance = {variance.data(), cols},
            .deviation = {deviation.data(), cols},
            .count = count.data()};
  }
};

void same(const std::vector<double>& got, const std::vector<double>& want, double tolerance) {
  CHECK(testing::relative_error(got, want) <= tolerance);
}

}  // namespace

TEMPLATE_TEST_CASE("covariance states agree with the CPU", "[cuda][augment][covariance]", double,
                   float, feaug::half, feaug::bfloat16) {
  using T = TestType;
  // One feature; a tile, one feature less and one more; several panels and several tiles of noise.
  for (const index_t cols : {index_t{1}, index_t{31}, index_t{32}, index_t{33}, index_t{70}}) {
    if (cols > 33 && !std::is_same_v<T, float>) continue;
    CAPTURE(cols);
    feaug::cpu_context cpu{.threads = 1};
    feaug::cuda_context gpu;
    covariance_memory host(cols);
    variance_memory host_variance(cols);
    const device_covariance device(host);
    const device_variance variance(host_variance);
    const feaug::covariance_options options[] = {{}, {.ridge = 0.1}, {.momentum = 0.75}};
    // At first fewer rows than features, so that the ridge determines the factor.
    const index_t rows[] = {5, 40, 33};
    for (int step = 0; step < 3; ++step) {
      const auto x = test_matrix<T>::normal(rows[step], cols, static_cast<unsigned>(step), 1);
      const device_copy<T> device_x(x);
      feaug::update_covariance(cpu, host.view(), x.view(), options[step]);
      feaug::update_covariance(gpu, device.view(), device_x.const_view(), options[step]);
      feaug::update_covariance(cpu, host_variance.view(), x.view(), options[step]);
      feaug::update_covariance(gpu, variance.view(), device_x.view(), options[step]);
      same(device.mean.to_host(), host.mean, 1e-13);
      same(device.covariance.host().values(), host.covariance.values(), 1e-13);
      same(device.factor.host().values(), host.factor.values(), 1e-9);
      same(variance.mean.to_host(), host_variance.mean, 1e-13);
      same(variance.variance.to_host(), host_variance.variance, 1e-13);
      same(variance.deviation.to_host(), host_variance.deviation, 1e-13);
      CHECK(device.count.to_host() == std::vector<index_t>{host.count});
      CHECK(variance.count.to_host() == std::vector<index_t>{host.count});
      CHECK((device.covariance.host().padding_intact() && device.factor.host().padding_intact()));
    }
  }
}

TEST_CASE("covariance noise with an identity factor has the same bits as single draws",
          "[cuda][augment][covariance]") {
  feaug::cuda_context gpu;
  covariance_memory host(9);
  host.count = 1;
  host.factor.fill(0.0);
  for (index_t j = 0; j < 9; ++j) host.factor.set(j, j, 1.0);
  const device_covariance device(host);
  const device_copy<float> noise(test_matrix<float>(70, 9));
  feaug::draw(gpu, feaug::covariance_noise(device.view()), key, noise.view());
  const auto drawn = noise.host();
  for (index_t i = 0; i < 70; ++i) {
    for (index_t j = 0; j < 9; ++j)
      REQUIRE(static_cast<float>(drawn.get(i, j)) == feaug::draw_normal(key, i, j));
  }
}

TEST_CASE("semi-definite and empty states", "[cuda][augment][covariance]") {
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  auto x = test_matrix<double>::normal(6, 40, 4);
  for (index_t i = 0; i < 6; ++i) {
    x.set(i, 3, x.get(i, 1));
    x.set(i, 5, 7.0);
  }
  const device_copy<double> device_x(x);
  covariance_memory host(40);
  const device_covariance device(host);
  feaug::update_covariance(gpu, device.view(), device_x.const_view(), {.ridge = 0});
  feaug::update_covariance(cpu, host.view(), x.view(), {.ridge = 0});
  const auto factor = device.factor.host();
  std::vector<double> product;
  for (index_t i = 0; i < 40; ++i) {
    for (index_t j = 0; j < 40; ++j) {
      double sum = 0;
      for (index_t k = 0; k < 40; ++k) sum += factor.get(i, k) * factor.get(j, k);
      product.push_back(sum);
    }
  }
  same(product, host.covariance.values(), 1e-9);

  // An empty batch changes nothing. An empty state gives NaN, because a GPU call cannot throw.
  const device_covariance unseen(covariance_memory(40));
  feaug::update_covariance(gpu, unseen.view(), device_x.const_view().rows_from(0, 0));
  CHECK(unseen.count.to_host() == std::vector<index_t>{0});
  const device_variance unseen_variance(variance_memory(40));
  const device_copy<double> out(test_matrix<double>(6, 40));
  feaug::augment(gpu, feaug::covariance_noise(unseen.view()), device_x.const_view(), key,
                 out.view());
  for (double v : out.host().values()) REQUIRE(std::isnan(v));
  const device_copy<double> second(test_matrix<double>(6, 40));
  feaug::augment(gpu, feaug::covariance_noise(unseen_variance.view()), device_x.const_view(), key,
                 second.view());
  for (double v : second.host().values()) REQUIRE(std::isnan(v));
}

TEST_CASE("covariances give the same bits for every thread schedule",
          "[cuda][augment][covariance]") {
  const auto x = test_matrix<float>::normal(35, 70, 4, 2);
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    feaug::cuda_context gpu;
    const device_copy<float> in_place(x);
    const device_covariance state(covariance_memory(70));
    const device_variance variance(variance_memory(70));
    feaug::update_covariance(gpu, state.view(), in_place.const_view());
    feaug::update_covariance(gpu, variance.view(), in_place.const_view());
    feaug::update_covariance(gpu, state.view(), in_place.const_view().rows_from(0, 9));
    feaug::augment(gpu, feaug::covariance_noise(state.view()), in_place.const_view(), key,
                   in_place.view());
    feaug::augment(gpu, feaug::covariance_noise(variance.view()), in_place.const_view(), key,
                   in_place.view());
    std::vector<double> all = in_place.host().values();
    for (double v : state.factor.host().values()) all.push_back(v);
    if (first.empty()) first = all;
    CHECK(all == first);
  });
}

}  // namespace covariance_noise_test
