// hard_negative_info_nce on a GPU against the CPU's.
#include "feaug/cuda/loss/hard_negative_info_nce.cuh"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "cuda/loss/two_operands.hpp"
#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cpu/loss/hard_negative_info_nce.hpp"
#include "support/message_of.hpp"

namespace hard_negative_info_nce_test {

using device_test::check_close;
using device_test::device_array;
using device_test::device_copy;
using device_test::two_operands;
using feaug::gradient_mode;
using feaug::index_t;
using feaug::synthetic_counts;
using testing::test_matrix;

namespace {

constexpr auto none = gradient_mode::none;
constexpr auto overwrite = gradient_mode::overwrite;
constexpr auto add = gradient_mode::accumulate;

constexpr synthetic_counts all_kinds = {
    .interpolated = 3, .extrapolated = 2, .mixed = 4, .noisy = 2, .stepped = 1, .sign_stepped = 3};

struct setting {
  index_t rows, keys, negatives, cols, hardest;
  synthetic_counts counts = all_kinds;
  bool in_batch = false;
  gradient_mode of_queries = overwrite;
  gradient_mode of_others = none;
  feaug::reduce reduction = feaug::reduce::mean;
  bool normalize = true;
  bool has_ids = false;
};

template <class T, feaug::memory_space Space>
feaug::synthetic_negatives<T, Space> synthesis(const setting& s) {
  return {.hardest = s.hardest,
          .counts = s.counts,
          .noise_scale = 0.3F,
          .step = 0.4F,
          .sign_step = 0.2F,
          .key = {.seed = 11, .step = 5, .stream = 2, .row_offset = 70}};
}

/// All three entries; the temperature in device memory, its gradient added to what is there, the
/// draws' step too.
template <class T>
void compare(const setting& s) {
  using C = feaug::compute_t<T>;
  CAPTURE(s.rows, s.keys, s.negatives, s.cols, s.hardest, s.in_batch, s.normalize);
  two_operands<T> q(test_matrix<T>::normal(s.rows, s.cols, 1, 1), s.of_queries);
  two_operands<T> k(test_matrix<T>::normal(s.keys, s.cols, 2, 1), s.of_others);
  two_operands<T> n(test_matrix<T>::normal(s.negatives, s.cols, 3, 1), s.of_others);
  const index_t outputs = s.reduction == feaug::reduce::none ? s.rows : 1;
  std::vector<C> tau = {C(0.3), C(7)};
  std::vector<C> loss(static_cast<std::size_t>(outputs));
  std::vector<C> statistics(static_cast<std::size_t>(s.rows));
  const std::vector<C> cotangent(loss.size(), C(0.7));
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> of_queries;
  for (index_t j = 0; j < s.negatives; ++j) ids.push_back(j % 3);
  for (index_t i = 0; i < s.rows; ++i) of_queries.push_back(i % 5);
  const device_array<C> device_tau(tau);
  const device_array<C> device_loss(loss);
  const device_array<C> device_statistics(statistics);
  const device_array<C> device_cotangent(cotangent);
  const device_array<std::int64_t> device_ids(ids);
  const device_array<std::int64_t> device_of_queries(of_queries);
  const device_array<std::uint64_t> step({5});
  auto host_how = synthesis<T, feaug::memory_space::host>(s);
  auto device_how = synthesis<T, feaug::memory_space::device>(s);
  device_how.key.step = 0;
  device_how.key.device_step = step.data();
  if (s.has_ids) {
    host_how.ids = {ids.data(), s.negatives};
    host_how.exclude_ids = {of_queries.data(), s.rows};
    device_how.ids = {device_ids.data(), s.negatives};
    device_how.exclude_ids = {device_of_queries.data(), s.rows};
  }
  const auto host_options = [&] {
    feaug::info_nce_options<T> options = {.reduction = s.reduction,
                                          .in_batch_negatives = s.in_batch,
                                          .normalize = s.normalize,
                                          .negatives = n.host(),
                                          .gradient_scale = 3};
    options.learnable_temperature = feaug::accumulate(feaug::vector_view<C>(tau.data(), 1),
                                                      feaug::vector_view<C>(tau.data() + 1, 1));
    return options;
  };
  const auto device_options = [&] {
    feaug::device_info_nce_options<T> options = {.reduction = s.reduction,
                                                 .in_batch_negatives = s.in_batch,
                                                 .normalize = s.normalize,
                                                 .negatives = n.device(),
                                                 .gradient_scale = 3};
    options.learnable_temperature =
        feaug::accumulate(feaug::device_vector<C>(device_tau.data(), 1),
                          feaug::device_vector<C>(device_tau.data() + 1, 1));
    return options;
  };
  feaug::cpu_context cpu{.threads = 2};
  feaug::cuda_context gpu;
  const double tolerance = testing::tolerance<C>();
  const feaug::vector_view<C> host_loss(loss.data(), outputs);
  const feaug::vector_view<C> host_statistics(statistics.data(), s.rows);
  const feaug::device_vector<C> loss_view(device_loss.data(), outputs);
  const feaug::device_vector<C> statistics_view(device_statistics.data(), s.rows);
  const auto check_gradients = [&] {
    q.check();
    k.check();
    n.check();
    check_close(device_tau.to_host(), tau, 10 * tolerance);
  };

  feaug::hard_negative_info_nce(cpu, q.host().value, k.host().value, host_how, host_loss,
                                host_options(), host_statistics);
  feaug::hard_negative_info_nce(gpu, q.device().value, k.device().value, device_how, loss_view,
                                device_options(), statistics_view);
  check_close(device_loss.to_host(), loss, tolerance);
  check_close(device_statistics.to_host(), statistics, tolerance);
  feaug::hard_negative_info_nce_backward(cpu, q.host(), k.host(), host_how, host_statistics,
                                         {cotangent.data(), outputs}, host_options());
  feaug::hard_negative_info_nce_backward(
      gpu, q.device(), k.device(), device_how, statistics_view,
      feaug::device_vector<const C>(device_cotangent.data(), outputs), device_options());
  check_gradients();
  feaug::hard_negative_info_nce_with_gradients(cpu, q.host(), k.host(), host_how, host_loss,
                                               host_options());
  feaug::hard_negative_info_nce_with_gradients(gpu, q.device(), k.device(), device_how, loss_view,
                                               device_options());
  check_close(device_loss.to_host(), loss, tolerance);
  check_gradients();
}

/// What a synthesis draws, in device memory.
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

TEMPLATE_TEST_CASE("hard_negative_info_nce is the CPU's", "[cuda][loss]", double, float) {
  compare<TestType>({4, 4, 9, 6, 5});
  compare<TestType>({.rows = 5,
                     .keys = 6,
                     .negatives = 8,
                     .cols = 37,
                     .hardest = 8,
                     .in_batch = true,
                     .of_queries = add,
                     .of_others = add,
                     .reduction = feaug::reduce::none});
  compare<TestType>({1, 1, 1, 1, 1, {.mixed = 2}});
  compare<TestType>({.rows = 3,
                     .keys = 3,
                     .negatives = 7,
                     .cols = 5,
                     .hardest = 3,
                     .of_queries = none,
                     .of_others = overwrite});
  compare<TestType>({.rows = 3,
                     .keys = 3,
                     .negatives = 7,
                     .cols = 5,
                     .hardest = 3,
                     .of_others = overwrite,
                     .normalize = false});
  compare<TestType>(
      {.rows = 5, .keys = 5, .negatives = 9, .cols = 4, .hardest = 7, .has_ids = true});
  compare<TestType>({.rows = 3, .keys = 3, .negatives = 7, .cols = 5, .hardest = 3, .counts = {}});
}

TEMPLATE_TEST_CASE("hard_negative_info_nce of 16-bit features", "[cuda][loss]", feaug::half,
                   feaug::bfloat16) {
  compare<TestType>({5, 5, 9, 6, 5});
}

TEST_CASE("hard_negative_info_nce's rows of many synthetic negatives and features",
          "[cuda][loss]") {
  // More than the 128 recipes, and than the 128 columns, that a block looks at together.
  compare<float>(
      {2,
       2,
       40,
       150,
       33,
       {.interpolated = 40, .extrapolated = 30, .mixed = 50, .noisy = 5, .stepped = 20}});
}

TEMPLATE_TEST_CASE("synthetic negatives' draws are the CPU's, bit for bit", "[cuda][loss]", float,
                   double) {
  using T = TestType;
  const index_t rows = 5;
  const index_t cols = 7;
  const setting s = {rows, rows, 9, cols, 6};
  const auto host_how = synthesis<T, feaug::memory_space::host>(s);
  const auto how = synthesis<T, feaug::memory_space::device>(s);
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

  // Given, they do what the key does; one that is out of range leaves its negative out.
  const device_copy<T> q(test_matrix<T>::normal(rows, cols, 1));
  const device_copy<T> n(test_matrix<T>::normal(9, cols, 3));
  const device_array<T> loss(std::vector<T>(3));
  const feaug::device_info_nce_options<T> options = {
      .in_batch_negatives = false, .negatives = feaug::stop_gradient(n.const_view())};
  const auto run = [&](const feaug::device_synthetic_negatives<T>& from, index_t to) {
    feaug::hard_negative_info_nce(gpu, q.const_view(), q.const_view(), from,
                                  feaug::device_vector<T>(loss.data() + to, 1), options);
  };
  auto given = how;
  given.key = {};
  given.drawn = drawn.given();
  run(how, 0);
  run(given, 1);
  CHECK(loss.to_host()[0] == loss.to_host()[1]);
  const device_draws<T> wrong(all_kinds, rows, cols);  // ranks −9
  given.drawn = wrong.given();
  run(given, 1);
  feaug::info_nce(gpu, q.const_view(), q.const_view(), feaug::device_vector<T>(loss.data() + 2, 1),
                  options);
  CHECK(loss.to_host()[1] == loss.to_host()[2]);
}

TEST_CASE("hard_negative_info_nce at the edges", "[cuda][loss]") {
  feaug::cuda_context gpu;
  const setting s = {3, 3, 4, 5, 4};
  const auto how = synthesis<float, feaug::memory_space::device>(s);
  auto queries = test_matrix<float>::normal(3, 5, 1);
  auto keys = test_matrix<float>::normal(3, 5, 2);
  auto negatives = test_matrix<float>::normal(4, 5, 3);
  const device_copy<float> dq(test_matrix<float>(3, 5));
  const device_array<float> loss({5, 5, 5});
  const auto run = [&](const feaug::device_synthetic_negatives<float>& synthetic) {
    const device_copy<float> q(queries);
    const device_copy<float> k(keys);
    const device_copy<float> n(negatives);
    feaug::hard_negative_info_nce_with_gradients(gpu, feaug::differentiable(q.view(), dq.view()),
                                                 feaug::stop_gradient(k.view()), synthetic,
                                                 feaug::device_vector<float>(loss.data(), 3),
                                                 {.temperature = 1e-3,
                                                  .reduction = feaug::reduce::none,
                                                  .in_batch_negatives = false,
                                                  .negatives = feaug::stop_gradient(n.view())});
    return loss.to_host();
  };
  SECTION("zero, huge and tiny rows are finite") {
    queries.fill_row(0, 0);
    queries.fill_row(1, 1e18);
    negatives.fill_row(0, 0);
    negatives.fill_row(1, -1e18);
    keys.fill_row(2, 1e-30);
    for (const float value : run(how)) CHECK(std::isfinite(value));
    for (const double value : dq.host().values()) CHECK(std::isfinite(value));
    for (index_t j = 0; j < 5; ++j) CHECK(dq.host().get(0, j) == 0);
  }
  SECTION("NaN in a query stays in its row") {
    queries.set(1, 2, std::numeric_limits<double>::quiet_NaN());
    const std::vector<float> losses = run(how);
    for (std::size_t i = 0; i < 3; ++i) CHECK(std::isnan(losses[i]) == (i == 1));
    CHECK(std::isnan(dq.host().get(1, 0)));
    CHECK(std::isfinite(dq.host().get(0, 0)));
  }
  SECTION("NaN in a negative reaches all") {
    negatives.set(1, 2, std::numeric_limits<double>::quiet_NaN());
    for (const float value : run(how)) CHECK(std::isnan(value));
    CHECK(std::isnan(dq.host().get(0, 0)));
  }
  SECTION("opposite negatives cancel: a logit of 0") {
    // Two rows at right angles to all queries, and opposite: four negatives of logit 0 and one
    // more.
    for (index_t i = 0; i < 3; ++i) {
      queries.set(i, 0, 0);
      keys.fill_row(i, 0);
      keys.set(i, 0, 1);
    }
    negatives.fill(0);
    for (index_t j = 0; j < 4; ++j) negatives.set(j, 0, j % 2 == 0 ? 1.25 : -3.0);
    const device_array<index_t> ranks({0, 0, 0});
    const device_array<index_t> others({1, 1, 1});
    const device_array<float> halves({0.5F, 0.5F, 0.5F});
    feaug::device_synthetic_negatives<float> mixed = {.hardest = 4, .counts = {.mixed = 1}};
    mixed.drawn.first = feaug::device_matrix<index_t>(ranks.data(), 3, 1);
    mixed.drawn.second = feaug::device_matrix<index_t>(others.data(), 3, 1);
    mixed.drawn.weights = feaug::device_matrix<float>(halves.data(), 3, 1);
    for (const float value : run(mixed)) CHECK(value == Approx(std::log(6.0)).epsilon(1e-6));
  }
}

TEST_CASE("hard_negative_info_nce where info_nce is fused", "[cuda][loss]") {
  const setting s = {20, 20, 40, 16, 9};
  const auto how = synthesis<float, feaug::memory_space::device>(s);
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

TEST_CASE("hard_negative_info_nce is the same bits in every order of threads", "[cuda][loss]") {
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    const setting s = {5, 5, 20, 11, 6};
    const auto how = synthesis<float, feaug::memory_space::device>(s);
    const device_copy<float> q(test_matrix<float>::normal(5, 11, 1));
    const device_copy<float> k(test_matrix<float>::normal(5, 11, 2));
    const device_copy<float> n(test_matrix<float>::normal(20, 11, 3));
    const device_copy<float> dq(test_matrix<float>(5, 11));
    const device_copy<float> dn(test_matrix<float>(20, 11));
    const device_array<float> numbers({0.2F, 0, 0});
    feaug::cuda_context gpu;
    feaug::device_info_nce_options<float> options = {
        .in_batch_negatives = false, .negatives = feaug::differentiable(n.view(), dn.view())};
    options.learnable_temperature =
        feaug::differentiable(feaug::device_vector<float>(numbers.data(), 1),
                              feaug::device_vector<float>(numbers.data() + 1, 1));
    feaug::hard_negative_info_nce_with_gradients(
        gpu, feaug::differentiable(q.view(), dq.view()), feaug::stop_gradient(k.view()), how,
        feaug::device_vector<float>(numbers.data() + 2, 1), options);
    std::vector<double> all = dq.host().values();
    for (const double value : dn.host().values()) all.push_back(value);
    for (const float value : numbers.to_host()) all.push_back(static_cast<double>(value));
    if (first.empty()) first = all;
    CHECK(all == first);
  });
}

TEST_CASE("bad arguments of hard_negative_info_nce", "[cuda][loss]") {
  feaug::cuda_context gpu;
  const device_copy<float> q(test_matrix<float>::normal(4, 3, 1));
  const device_copy<float> n(test_matrix<float>::normal(6, 3, 2));
  const device_array<float> loss({0});
  const device_array<std::int64_t> ids({0, 0, 0, 0, 0, 0});
  const std::vector<std::int64_t> on_host(4);
  feaug::device_synthetic_negatives<float> how = {.hardest = 4, .counts = all_kinds};
  const auto message = [&] {
    return testing::message_of([&] {
      feaug::hard_negative_info_nce(gpu, q.const_view(), q.const_view(), how,
                                    feaug::device_vector<float>(loss.data(), 1),
                                    {.negatives = feaug::stop_gradient(n.const_view())});
    });
  };
  CHECK(message().empty());
  how.hardest = 7;
  CHECK(message() == "hard_negative_info_nce: hardest: got 7, wanted a number from 1 to 6");
  how.hardest = 4;
  how.ids = {ids.data(), 6};
  how.exclude_ids = {on_host.data(), 4};
  CHECK(message() ==
        "hard_negative_info_nce: exclude_ids: got a pointer to ordinary host memory, wanted device "
        "memory");
  how.ids = {};
  how.exclude_ids = {};
  how.drawn.first = feaug::device_matrix<index_t>(ids.data(), 4, 1);
  CHECK(
      message() ==
      "hard_negative_info_nce: drawn.first: got shape (4, 1), wanted shape (4, 15) as the queries "
      "and counts ask for");
}

}  // namespace hard_negative_info_nce_test
