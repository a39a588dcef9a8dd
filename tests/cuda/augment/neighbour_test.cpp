// Policies of neighbours on a GPU against the CPU: the same slots and draws, values, gradients, any
// schedule.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/augment/compose.hpp"
#include "feaug/augment/one_of.hpp"
#include "feaug/cpu/augment/elementwise.hpp"
#include "feaug/cpu/augment/pseudo_neighbour.hpp"
#include "feaug/cuda/augment/elementwise.cuh"
#include "feaug/cuda/augment/pseudo_neighbour.cuh"
#include "support/message_of.hpp"

namespace neighbour_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::index_t;
using feaug::mean_neighbour;
using feaug::median_neighbour;
using feaug::mutual_neighbour_of;
using feaug::neighbour;
using feaug::neighbour_from;
using feaug::pseudo_neighbour;
using feaug::pseudo_neighbour_of;
using feaug::random_key;
using feaug::random_neighbour;
using feaug::trimmed_mean_neighbour;
using testing::test_matrix;

namespace {

constexpr random_key key{.seed = 11, .step = 5, .stream = 2, .row_offset = 3};
constexpr auto to_query = feaug::neighbour_fallback::query;
constexpr auto straight = feaug::neighbour_gradient::straight_through;

/// The same queue on both sides.
template <class T>
struct two_queues {
  test_matrix<T> storage;
  index_t cursor = 0;
  index_t size;
  std::vector<std::int64_t> ids;
  device_copy<T> device_storage;
  device_array<index_t> device_counters;
  device_array<std::int64_t> device_ids;

  two_queues(const test_matrix<T>& rows, index_t filled)
      : storage(rows),
        cursor(filled % rows.rows()),
        size(filled),
        ids(every_third(rows.rows())),
        device_storage(rows),
        device_counters(std::vector<index_t>{cursor, filled}),
        device_ids(ids) {}

  feaug::support_queue<T> host() {
    return {.storage = storage.view(),
            .cursor = &cursor,
            .size = &size,
            .normalize = false,
            .ids = {ids.data(), storage.rows()}};
  }
  feaug::device_support_queue<T> device() {
    return {.storage = device_storage.view(),
            .cursor = device_counters.data(),
            .size = device_counters.data() + 1,
            .normalize = false,
            .ids = {device_ids.data(), storage.rows()}};
  }
  static std::vector<std::int64_t> every_third(index_t count) {
    std::vector<std::int64_t> all;
    for (index_t i = 0; i < count; ++i) all.push_back(i % 3);
    return all;
  }
};

/// `how` on both sides: the same slots to the number, the same rows and gradients.
template <class T, class How>
void compare(two_queues<T>& queues, const How& how, index_t k, const test_matrix<T>& x,
             bool tensor_cores = false) {
  const index_t rows = x.rows();
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu{.tensor_cores = tensor_cores};
  const auto own = two_queues<T>::every_third(rows);
  std::vector<index_t> indices(static_cast<std::size_t>(rows), -7);
  std::vector<index_t> slots(static_cast<std::size_t>(rows * k), -7);
  const device_array<std::int64_t> device_own(own);
  const device_array<index_t> device_indices(indices);
  const device_array<index_t> device_slots(slots);
  const auto on_host = neighbour_from(queues.host(), how,
                                      {.exclude_ids = {own.data(), rows},
                                       .indices = {indices.data(), rows},
                                       .slots = {slots.data(), rows, k}});
  const auto on_device = neighbour_from(queues.device(), how,
                                        {.exclude_ids = {device_own.data(), rows},
                                         .indices = {device_indices.data(), rows},
                                         .slots = {device_slots.data(), rows, k}});
  test_matrix<T> want(rows, x.cols(), 3);
  const device_copy<T> got(want);
  const device_copy<T> device_x(x);
  feaug::augment(cpu, on_host, x.view(), key, want.view());
  feaug::augment(gpu, on_device, device_x.const_view(), key, got.view());
  CHECK(device_indices.to_host() == indices);
  CHECK(device_slots.to_host() == slots);
  CHECK(got.host().padding_intact());
  CHECK(testing::relative_error(got.host().values(), want.values()) <=
        testing::tolerance<T>() / 100);

  const auto g = test_matrix<T>::normal(rows, x.cols(), 2, 2);
  const device_copy<T> device_g(g);
  for (const auto mode : {feaug::gradient_mode::overwrite, feaug::gradient_mode::accumulate}) {
    auto want_dx = test_matrix<T>::normal(rows, x.cols(), 3, 1);
    const device_copy<T> got_dx(want_dx);
    const feaug::operand<T> host_x = {x.view(), want_dx.view(), mode};
    const feaug::operand<T, 2, feaug::memory_space::device> there = {device_x.const_view(),
                                                                     got_dx.view(), mode};
    feaug::augment_backward(cpu, on_host, host_x, key, g.view());
    feaug::augment_backward(gpu, on_device, there, key, device_g.const_view());
    CHECK(got_dx.host().padding_intact());
    CHECK(testing::relative_error(got_dx.host().values(), want_dx.values()) <=
          testing::tolerance<T>() / 100);
  }
}

void compare_kinds(two_queues<float>& queues, const test_matrix<float>& x,
                   const feaug::similarity_range& range) {
  compare(queues, neighbour{.gradient = straight, .fallback = to_query, .similarity = range}, 1, x);
  compare(queues, mean_neighbour{.k = 4, .fallback = to_query, .similarity = range}, 4, x);
  compare(queues, median_neighbour{.k = 6, .fallback = to_query, .similarity = range}, 6, x);
  compare(queues, random_neighbour{.k = 3, .fallback = to_query, .similarity = range}, 3, x);
  compare(queues,
          mutual_neighbour_of<trimmed_mean_neighbour>{
              .of = {.k = 6, .fallback = to_query, .similarity = range}, .queries = 4},
          6, x);
  compare(queues,
          pseudo_neighbour_of<random_neighbour>{
              .of = {.k = 3, .gradient = straight, .fallback = to_query, .similarity = range},
              .weight = 0.3F,
              .noise = 0.2F,
              .normalize = true},
          3, x);
  compare(queues,
          pseudo_neighbour_of<mutual_neighbour_of<mean_neighbour>>{
              .of = {.of = {.k = 4, .fallback = to_query, .similarity = range}, .queries = 2}},
          4, x);
}

}  // namespace

TEST_CASE("neighbours are the CPU's", "[cuda][augment][neighbour]") {
  for (const index_t cols : {index_t{2}, index_t{37}}) {
    const index_t rows = cols == 2 ? 3 : 21;
    CAPTURE(rows, cols);
    const auto x = test_matrix<float>::normal(rows, cols, 1, cols == 2 ? 0 : 3);
    two_queues<float> queues(test_matrix<float>::normal(41, cols, 2, 1), 41);
    compare_kinds(queues, x, {});
    compare_kinds(queues, x, {.floor = 0.1, .ceiling = 0.3});
    two_queues<float> filling(test_matrix<float>::normal(41, cols, 2, 1),
                              5);  // with fewer rows than k
    compare_kinds(filling, x, {});
  }
}

TEMPLATE_TEST_CASE("neighbours of other elements are the CPU's", "[cuda][augment][neighbour]",
                   double, feaug::half, feaug::bfloat16) {
  const auto x = test_matrix<TestType>::normal(5, 9, 1, 1);
  two_queues<TestType> queues(test_matrix<TestType>::normal(14, 9, 2), 14);
  compare(queues, mutual_neighbour_of<median_neighbour>{.of = {.fallback = to_query}}, 5, x);
  compare(
      queues,
      pseudo_neighbour_of<mean_neighbour>{
          .of = {.k = 3, .gradient = straight}, .weight = 0.5F, .noise = 0.1F, .normalize = true},
      3, x);
}

TEST_CASE("neighbours found on tensor cores are the CPU's", "[cuda][augment][neighbour]") {
  const auto x = test_matrix<float>::normal(9, 40, 1);
  two_queues<float> queues(test_matrix<float>::normal(200, 40, 2), 190);
  for (const double floor : {-2.0, 0.2, 0.45}) {
    compare(queues, mean_neighbour{.k = 5, .fallback = to_query, .similarity = {.floor = floor}}, 5,
            x, true);
  }
  compare(queues,
          mutual_neighbour_of<mean_neighbour>{
              .of = {.k = 5, .fallback = to_query, .similarity = {.ceiling = 0.3}}, .queries = 2},
          5, x, true);
}

TEST_CASE("broken rows, an empty queue, nothing to fall back to", "[cuda][augment][neighbour]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  auto x = test_matrix<double>::normal(7, 5, 1);
  x.set(1, 2, nan);
  x.set(3, 0, std::numeric_limits<double>::infinity());
  x.fill_row(4, 0);
  for (index_t j = 0; j < 5; ++j) x.set(5, j, 1e200 * x.get(5, j));
  auto rows = test_matrix<double>::normal(9, 5, 2);
  rows.set(2, 1, nan);
  rows.fill_row(3, 0);
  for (index_t j = 0; j < 5; ++j) rows.set(4, j, 1e180 * rows.get(4, j));
  for (const index_t filled : {index_t{9}, index_t{3}, index_t{0}}) {
    CAPTURE(filled);
    two_queues<double> queues(rows, filled);
    compare(queues, mutual_neighbour_of<median_neighbour>{.of = {.fallback = to_query}}, 5, x);
    compare(queues,
            pseudo_neighbour_of<mean_neighbour>{
                .of = {.k = 3, .fallback = to_query}, .weight = 0.5F, .normalize = true},
            3, x);
  }
  two_queues<double> queues(rows, 0);
  feaug::cuda_context gpu;
  const device_copy<double> device_x(test_matrix<double>::normal(2, 5, 1));
  const device_copy<double> out(test_matrix<double>(2, 5));
  feaug::augment(gpu, neighbour_from(queues.device(), mean_neighbour{}), device_x.const_view(), key,
                 out.view());
  for (const double value : out.host().values()) CHECK(std::isnan(value));
}

TEST_CASE("given choices and noise, and rows of one of several parts",
          "[cuda][augment][neighbour]") {
  const index_t count = 30;
  const auto x = test_matrix<float>::normal(count, 7, 1);
  two_queues<float> queues(test_matrix<float>::normal(20, 7, 2), 20);
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  std::vector<float> choice(static_cast<std::size_t>(count));
  const device_array<float> device_choice(choice);
  const random_neighbour random{.k = 4};
  const random_key after = key.streams_later(1);
  feaug::draw(cpu, random, after, {choice.data(), count});
  feaug::draw(gpu, random, after, feaug::device_vector<float>(device_choice.data(), count));
  CHECK(device_choice.to_host() == choice);
  const auto epsilon = test_matrix<float>::normal(count, 7, 3, 1);
  const device_copy<float> device_epsilon(epsilon);
  const pseudo_neighbour_of<random_neighbour> how = {
      .of = random, .weight = 0.4F, .noise = 0.3F, .normalize = true};
  const device_copy<float> device_x(x);
  const auto run = [&](const auto& policy, const auto& device_policy) {
    test_matrix<float> want(count, 7);
    const device_copy<float> got(want);
    feaug::augment(cpu, policy, x.view(), key, want.view());
    feaug::augment(gpu, device_policy, device_x.const_view(), key, got.view());
    CHECK(testing::relative_error(got.host().values(), want.values()) < 1e-6);
    auto want_dx = test_matrix<float>::normal(count, 7, 5);
    const device_copy<float> got_dx(want_dx);
    feaug::augment_backward(cpu, policy, feaug::differentiable(x.view(), want_dx.view()), key,
                            epsilon.view());
    feaug::augment_backward(gpu, device_policy,
                            feaug::differentiable(device_x.const_view(), got_dx.view()), key,
                            device_epsilon.const_view());
    CHECK(testing::relative_error(got_dx.host().values(), want_dx.values()) < 1e-6);
  };
  const feaug::device_vector<const float> there(device_choice.data(), count);
  run(feaug::with_noise(
          feaug::with_choice(neighbour_from(queues.host(), how), {choice.data(), count}),
          epsilon.view()),
      feaug::with_noise(feaug::with_choice(neighbour_from(queues.device(), how), there),
                        device_epsilon.const_view()));
  const mutual_neighbour_of<mean_neighbour> mutual = {
      .of = {.gradient = straight, .fallback = to_query}, .queries = 2};
  const auto parts = [&](const auto& queue) {
    return feaug::one_of(
        {0.3F, 0.3F, 0.4F}, neighbour_from(queue, how), neighbour_from(queue, mutual),
        feaug::compose(
            feaug::keep_features{},
            neighbour_from(
                queue, pseudo_neighbour_of<mutual_neighbour_of<mean_neighbour>>{.of = mutual})));
  };
  run(parts(queues.host()), parts(queues.device()));
}

TEST_CASE("the order of threads is nothing to neighbours", "[cuda][augment][neighbour]") {
  const auto x = test_matrix<float>::normal(5, 34, 1);
  two_queues<float> queues(test_matrix<float>::normal(9, 34, 2), 9);
  const pseudo_neighbour_of<mutual_neighbour_of<trimmed_mean_neighbour>> how = {
      .of = {.of = {.k = 7, .trim = 2, .fallback = to_query}, .queries = 3},
      .weight = 0.3F,
      .noise = 0.1F,
      .normalize = true};
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    feaug::cuda_context gpu;
    const device_copy<float> device_x(x);
    const device_copy<float> out(test_matrix<float>(5, 34));
    const auto policy = neighbour_from(queues.device(), how);
    feaug::augment(gpu, policy, device_x.const_view(), key, out.view());
    const device_copy<float> dx(x);
    feaug::augment_backward(gpu, policy, feaug::differentiable(device_x.const_view(), dx.view()),
                            key, out.const_view());
    std::vector<double> all = out.host().values();
    const auto gradient = dx.host().values();
    all.insert(all.end(), gradient.begin(), gradient.end());
    if (first.empty()) first = all;
    CHECK(all == first);
  });
}

TEST_CASE("neighbours refuse what is not on the device", "[cuda][augment][neighbour]") {
  const auto x = test_matrix<float>::normal(4, 6, 1);
  two_queues<float> queues(test_matrix<float>::normal(9, 6, 2), 9);
  feaug::cuda_context gpu;
  const device_copy<float> device_x(x);
  const device_copy<float> out(x);
  std::vector<index_t> here(20);
  std::vector<float> choice(4);
  const auto says = [&](const auto& policy, const std::string& wanted) {
    CHECK(testing::message_of([&] {
            feaug::augment(gpu, policy, device_x.const_view(), key, out.view());
          }) == wanted);
    CHECK(out.host().values() == x.values());
  };
  says(neighbour_from(queues.device(), mean_neighbour{}, {.slots = {here.data(), 4, 5}}),
       "mean_neighbour: slots: got a pointer to ordinary host memory, wanted device memory");
  says(feaug::with_choice(neighbour_from(queues.device(), random_neighbour{}),
                          feaug::device_vector<const float>(choice.data(), 4)),
       "random_neighbour: choice: got a pointer to ordinary host memory, wanted device memory");
  says(neighbour_from(queues.device(), mean_neighbour{.k = 10}),
       "mean_neighbour: k: got 10, wanted a number from 1 to 9");
  says(feaug::with_noise(neighbour_from(queues.device(), pseudo_neighbour{.noise = 0.1F}),
                         feaug::device_matrix<const float>(x.memory().data(), 4, 6)),
       "pseudo_neighbour: epsilon: got a pointer to ordinary host memory, wanted device memory");
}

}  // namespace neighbour_test
