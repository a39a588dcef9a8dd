// hard_negative_info_nce on a GPU: draws, and the fused path of info_nce.
#include "feaug/cuda/loss/hard_negative_info_nce.cuh"

#include <catch2/catch.hpp>
#include <cstdint>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "feaug/cpu/loss/hard_negative_info_nce.hpp"

namespace hard_negative_info_nce_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::index_t;
using feaug::synthetic_counts;
using testing::test_matrix;

namespace {

constexpr synthetic_counts all_kinds = {
    .interpolated = 3, .extrapolated = 2, .mixed = 4, .noisy = 2, .stepped = 1, .sign_stepped = 3};

template <class T, feaug::memory_space Space>
feaug::synthetic_negatives<T, Space> synthesis(index_t hardest) {
  return {.hardest = hardest,
          .counts = all_kinds,
          .noise_scale = 0.3F,
          .step = 0.4F,
          .sign_step = 0.2F,
          .key = {.seed = 11, .step = 5, .stream = 2, .row_offset = 70}};
}

/// The draws of a synthesis, in device memory.
template <class T>
struct device_draws {
  using C = feaug::compute_t<T>;
  index_t rows, cols;
  synthetic_counts counts;
  device_array<index_t> first, second;
  device_array<C> weights, noise;

  device_draws(const synthetic_counts& of, index_t rows_, index_t cols_)
      : rows(rows_),
        cols(cols_),
        counts(of),
        first(std::vector<index_t>(size(of.total()), -9)),
        second(std::vector<index_t>(size(of.mixed), -9)),
        weights(std::vector<C>(size(of.weighted()), C(-9))),
        noise(std::vector<C>(size(of.noisy * cols), C(-9))) {}

  [[nodiscard]] std::size_t size(index_t each) const {
    return static_cast<std::size_t>(rows * each);
  }
  [[nodiscard]] feaug::device_matrix<index_t> first_view() const {
    return {first.data(), rows, counts.total()};
  }
  [[nodiscard]] feaug::device_matrix<index_t> second_view() const {
    return {second.data(), rows, counts.mixed};
  }
  [[nodiscard]] feaug::device_matrix<C> weights_view() const {
    return {weights.data(), rows, counts.weighted()};
  }
  [[nodiscard]] feaug::device_matrix<C> noise_view() const {
    return {noise.data(), rows * counts.noisy, cols};
  }
  [[nodiscard]] feaug::drawn_synthesis<T, feaug::memory_space::device> given() const {
    return {first_view(), second_view(), weights_view(), noise_view()};
  }
};

}  // namespace

TEMPLATE_TEST_CASE("draws of synthetic negatives have the CPU's bits", "[cuda][loss]", float,
                   double) {
  using T = TestType;
  const index_t rows = 5;
  const index_t cols = 7;
  const auto host_how = synthesis<T, feaug::memory_space::host>(6);
  // The step of the key is in device memory.
  const device_array<std::uint64_t> step({host_how.key.step});
  auto how = synthesis<T, feaug::memory_space::device>(6);
  how.key.step = 0;
  how.key.device_step = step.data();
  std::vector<index_t> first(rows * all_kinds.total());
  std::vector<index_t> second(rows * all_kinds.mixed);
  std::vector<T> weights(rows * all_kinds.weighted());
  std::vector<T> noise(rows * all_kinds.noisy * cols);
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  feaug::draw(cpu, host_how, feaug::matrix_view<index_t>(first.data(), rows, all_kinds.total()),
              feaug::matrix_view<index_t>(second.data(), rows, all_kinds.mixed),
              {weights.data(), rows, all_kinds.weighted()},
              {noise.data(), rows * all_kinds.noisy, cols});
  const device_draws<T> drawn(all_kinds, rows, cols);
  feaug::draw(gpu, how, drawn.first_view(), drawn.second_view(), drawn.weights_view(),
              drawn.noise_view());
  CHECK(drawn.first.to_host() == first);
  CHECK(drawn.second.to_host() == second);
  CHECK(drawn.weights.to_host() == weights);
  CHECK(drawn.noise.to_host() == noise);

  // Given draws have the same result as the key, in every function. A negative whose draw is out of
  // range is skipped.
  const device_copy<T> q(test_matrix<T>::normal(rows, cols, 1));
  const device_copy<T> n(test_matrix<T>::normal(9, cols, 3));
  const auto keys = feaug::stop_gradient(q.view());
  const feaug::device_info_nce_options<T> options = {
      .in_batch_negatives = false, .negatives = feaug::stop_gradient(n.const_view())};
  const auto run = [&](const feaug::device_synthetic_negatives<T>& from) {
    const device_copy<T> backward(test_matrix<T>(rows, cols));
    const device_copy<T> at_once(test_matrix<T>(rows, cols));
    const device_array<T> statistics(std::vector<T>(static_cast<std::size_t>(rows)));
    const device_array<T> numbers({T(0), T(0), T(0.7)});  // two losses, and the cotangent
    const feaug::device_vector<T> of_rows(statistics.data(), rows);
    const auto number = [&](index_t i) { return feaug::device_vector<T>(numbers.data() + i, 1); };
    feaug::hard_negative_info_nce(gpu, q.view(), q.view(), from, number(0), options, of_rows);
    feaug::hard_negative_info_nce_backward(gpu, feaug::differentiable(q.view(), backward.view()),
                                           keys, from, of_rows, number(2), options);
    feaug::hard_negative_info_nce_with_gradients(
        gpu, feaug::differentiable(q.view(), at_once.view()), keys, from, number(1), options);
    std::vector<double> all;
    for (const T x : numbers.to_host()) all.push_back(static_cast<double>(x));
    for (const device_copy<T>* gradient : {&backward, &at_once}) {
      for (const double x : gradient->host().values()) all.push_back(x);
    }
    return all;
  };
  auto given = how;
  given.key = {};
  given.drawn = drawn.given();
  CHECK(run(how) == run(given));
  const device_draws<T> wrong(all_kinds, rows, cols);  // ranks are −9
  given.drawn = wrong.given();
  const device_array<T> plain({T(0)});
  feaug::info_nce(gpu, q.const_view(), q.const_view(), feaug::device_vector<T>(plain.data(), 1),
                  options);
  CHECK(run(given).front() == static_cast<double>(plain.to_host()[0]));
}

TEST_CASE("hard_negative_info_nce on the fused path of info_nce", "[cuda][loss]") {
  const auto how = synthesis<float, feaug::memory_space::device>(9);
  const device_copy<float> q(test_matrix<float>::normal(20, 16, 1));
  const device_copy<float> k(test_matrix<float>::normal(20, 16, 2));
  const device_copy<float> n(test_matrix<float>::normal(40, 16, 3));
  std::vector<std::vector<double>> gradients;
  std::vector<double> losses;
  for (const bool tensor_cores : {false, true}) {
    feaug::cuda_context gpu{.precision = feaug::product_precision::bf16,
                            .tensor_cores = tensor_cores};
    const device_copy<float> dq(test_matrix<float>(20, 16));
    const device_array<float> loss({0});
    feaug::hard_negative_info_nce_with_gradients(
        gpu, feaug::differentiable(q.view(), dq.view()), feaug::stop_gradient(k.view()), how,
        feaug::device_vector<float>(loss.data(), 1),
        {.in_batch_negatives = false, .negatives = feaug::stop_gradient(n.view())});
    gradients.push_back(dq.host().values());
    losses.push_back(static_cast<double>(loss.to_host()[0]));
  }
  CHECK(losses[1] == Approx(losses[0]).epsilon(1e-2));
  CHECK(testing::relative_error(gradients[1], gradients[0]) < 2e-2);
}

}  // namespace hard_negative_info_nce_test
