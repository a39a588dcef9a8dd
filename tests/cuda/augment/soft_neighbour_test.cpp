// soft_neighbour on a GPU against the CPU's: values, slots, gradients, exclusion, falling back.
#include "feaug/cuda/augment/soft_neighbour.cuh"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "cuda/support/device_array.hpp"
#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/augment/one_of.hpp"
#include "feaug/cpu/augment/elementwise.hpp"
#include "feaug/cpu/augment/soft_neighbour.hpp"
#include "feaug/cuda/augment/elementwise.cuh"
#include "support/message_of.hpp"

namespace soft_neighbour_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::gradient_mode;
using feaug::index_t;
using testing::test_matrix;

namespace {

using ids_type = std::vector<std::int64_t>;

/// One support, on the host and on the device: a queue of which `filled` rows are, or the matrix.
template <class T>
struct two_supports {
  test_matrix<T> host_rows;
  device_copy<T> device_rows;
  index_t counters[2];
  device_array<index_t> device_counters;
  ids_type ids;
  device_array<std::int64_t> device_ids;

  two_supports(const test_matrix<T>& rows, index_t filled)
      : host_rows(rows),
        device_rows(rows),
        counters{filled % rows.rows(), filled},
        device_counters({filled % rows.rows(), filled}),
        ids(numbers(rows.rows())),
        device_ids(ids) {}

  static ids_type numbers(index_t count) {
    ids_type all;
    for (index_t i = 0; i < count; ++i) all.push_back(i % 3);
    return all;
  }
  feaug::support_queue<T> host() {
    return {.storage = host_rows.view(),
            .cursor = counters,
            .size = counters + 1,
            .normalize = false,
            .ids = {ids.data(), host_rows.rows()}};
  }
  [[nodiscard]] feaug::device_support_queue<T> device() const {
    return {.storage = device_rows.view(),
            .cursor = device_counters.data(),
            .size = device_counters.data() + 1,
            .normalize = false,
            .ids = {device_ids.data(), host_rows.rows()}};
  }
};

/// Sums are doubles on both sides, so only the last bits of what is stored may differ.
template <class T>
void check_same(const test_matrix<T>& got, const test_matrix<T>& want) {
  CHECK(got.padding_intact());
  const double tolerance = std::is_same_v<T, double> ? 1e-11 : testing::tolerance<T>() / 50;
  CHECK(testing::relative_error(got.values(), want.values(), 1e-2) <= tolerance);
}

/// Values and gradients of two policies that mean the same.
template <class T, class Host, class Device>
void compare(const Host& host, const Device& device, const test_matrix<T>& x) {
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  const auto g = test_matrix<T>::normal(x.rows(), x.cols(), 2, 2);
  test_matrix<T> want(x.rows(), x.cols(), 3);
  const device_copy<T> got(want);
  const device_copy<T> device_x(x);
  const device_copy<T> device_g(g);
  feaug::augment(cpu, host, x.view(), {}, want.view());
  feaug::augment(gpu, device, device_x.const_view(), {}, got.view());
  check_same(got.host(), want);
  for (const auto mode : {gradient_mode::overwrite, gradient_mode::accumulate}) {
    auto want_dx = test_matrix<T>::normal(x.rows(), x.cols(), 3, 1);
    const device_copy<T> got_dx(want_dx);
    feaug::augment_backward(cpu, host, feaug::operand<T>{x.view(), want_dx.view(), mode}, {},
                            g.view());
    feaug::augment_backward(gpu, device,
                            feaug::operand<T, 2, feaug::memory_space::device>{device_x.const_view(),
                                                                              got_dx.view(), mode},
                            {}, device_g.const_view());
    check_same(got_dx.host(), want_dx);
  }
}

constexpr feaug::soft_neighbour falling_back(index_t k) {
  return {.k = k, .temperature = 0.2, .fallback = feaug::neighbour_fallback::query};
}

}  // namespace

TEMPLATE_TEST_CASE("soft_neighbour is the CPU's", "[cuda][soft_neighbour]", double, float,
                   feaug::bfloat16) {
  using T = TestType;
  struct shape {
    index_t rows, cols, support, filled, k;
  };
  for (const shape& at : {shape{1, 1, 1, 1, 1}, shape{0, 3, 4, 4, 2}, shape{9, 7, 12, 5, 3},
                          shape{37, 5, 70, 70, 6}, shape{3, 131, 9, 2, 4}}) {
    CAPTURE(at.rows, at.cols, at.support, at.filled, at.k);
    auto x = test_matrix<T>::normal(at.rows, at.cols, 1, 1);
    if (at.rows > 4) {
      x.fill_row(1, 0);
      x.set(3, at.cols - 1, std::numeric_limits<double>::quiet_NaN());
    }
    two_supports<T> support(test_matrix<T>::normal(at.support, at.cols, 5, 2), at.filled);
    const auto how = falling_back(at.k);
    compare<T>(feaug::soft_neighbour_from(support.host_rows.view(), how),
               feaug::soft_neighbour_from(support.device_rows.view(), how), x);

    // By a queue that is not full, with exclusion; slots handed from forward to backward.
    ids_type own;
    for (index_t i = 0; i < at.rows; ++i) own.push_back(i % 4);
    const auto slots = static_cast<std::size_t>(at.rows * at.k);
    std::vector<index_t> indices(slots, -5);
    const device_array<std::int64_t> device_own(own);
    const device_array<index_t> device_indices(indices);
    compare<T>(feaug::soft_neighbour_from(support.host(), how,
                                          {.exclude_ids = {own.data(), at.rows},
                                           .indices = {indices.data(), at.rows, at.k}}),
               feaug::soft_neighbour_from(support.device(), how,
                                          {.exclude_ids = {device_own.data(), at.rows},
                                           .indices = {device_indices.data(), at.rows, at.k}}),
               x);
    CHECK(device_indices.to_host() == indices);
  }
}

TEST_CASE("soft_neighbour on a GPU: nothing found, its own destination, a part of one_of",
          "[cuda][soft_neighbour]") {
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  const auto x = test_matrix<float>::normal(8, 5, 1);
  const auto g = test_matrix<float>::normal(8, 5, 2);
  two_supports<float> support(test_matrix<float>::normal(9, 5, 3), 1);
  const device_copy<float> device_x(x);
  SECTION("NaN where the CPU would throw") {
    const ids_type own = {0, 1, 2, 0, 1, 2, 0, 1};
    const device_array<std::int64_t> device_own(own);
    const device_copy<float> out(test_matrix<float>(8, 5));
    const auto policy = feaug::soft_neighbour_from(support.device(), {.k = 1},
                                                   {.exclude_ids = {device_own.data(), 8}});
    feaug::augment(gpu, policy, device_x.const_view(), {}, out.view());
    const std::vector<double> values = out.host().values();
    feaug::augment_backward(gpu, policy, differentiable(device_x.view(), out.view()), {},
                            device_x.const_view());
    const std::vector<double> gradients = out.host().values();
    for (std::size_t e = 0; e < 40; ++e) {
      CHECK(std::isnan(values[e]) == (own[e / 5] == 0));
      CHECK(std::isnan(gradients[e]) == (own[e / 5] == 0));
    }
  }
  SECTION("slots that no row has find nothing") {
    const device_array<index_t> wild({-1, 9, 77, -1, -3, 0, 5, 1, 9, 9, -1, -1, 2, 3, 4, 4});
    const device_copy<float> dx(test_matrix<float>(8, 5));
    const auto policy = feaug::soft_neighbour_from(support.device_rows.view(), falling_back(2),
                                                   {.indices = {wild.data(), 8, 2}});
    feaug::augment_backward(gpu, policy, differentiable(device_x.view(), dx.view()), {},
                            device_x.const_view());
    for (const double v : dx.host().values()) CHECK(std::isfinite(v));
  }
  SECTION("the gradient where grad_out was") {
    const auto host = feaug::soft_neighbour_from(support.host_rows.view(), {.k = 3});
    const auto device = feaug::soft_neighbour_from(support.device_rows.view(), {.k = 3});
    test_matrix<float> want(8, 5);
    feaug::augment_backward(cpu, host, differentiable(x.view(), want.view()), {}, g.view());
    const device_copy<float> through(g);
    feaug::augment_backward(gpu, device, differentiable(device_x.view(), through.view()), {},
                            through.const_view());
    check_same(through.host(), want);
  }
  SECTION("a part of one_of") {
    const std::vector<index_t> none(24, -5);
    std::vector<index_t> indices = none;
    const device_array<index_t> device_indices(none);
    compare<float>(
        feaug::one_of({0.5F, 0.5F}, feaug::keep_features{},
                      feaug::soft_neighbour_from(support.host(), falling_back(3),
                                                 {.indices = {indices.data(), 8, 3}})),
        feaug::one_of({0.5F, 0.5F}, feaug::keep_features{},
                      feaug::soft_neighbour_from(support.device(), falling_back(3),
                                                 {.indices = {device_indices.data(), 8, 3}})),
        x);
    CHECK(device_indices.to_host() == indices);
    CHECK(indices != none);
  }
}

TEST_CASE("soft_neighbour is the same bits in every order of threads", "[cuda][soft_neighbour]") {
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    const device_copy<float> x(test_matrix<float>::normal(20, 11, 1));
    const device_copy<float> dx(test_matrix<float>(20, 11));
    const device_copy<float> out(test_matrix<float>(20, 11));
    const device_copy<float> support(test_matrix<float>::normal(40, 11, 2));
    feaug::cuda_context gpu;
    const auto policy = feaug::soft_neighbour_from(support.view(), {.k = 4});
    feaug::augment(gpu, policy, x.const_view(), {}, out.view());
    feaug::augment_backward(gpu, policy, differentiable(x.view(), dx.view()), {}, x.const_view());
    std::vector<double> all = dx.host().values();
    for (const double value : out.host().values()) all.push_back(value);
    if (first.empty()) first = all;
    CHECK(all == first);
  });
}

TEST_CASE("bad arguments of soft_neighbour", "[cuda][soft_neighbour]") {
  feaug::cuda_context gpu;
  two_supports<float> support(test_matrix<float>::normal(4, 3, 3), 2);
  const device_copy<float> x(test_matrix<float>(2, 3));
  const device_copy<float> out(test_matrix<float>(2, 3));
  const auto says = [&](const std::string& part, const auto& policy) {
    const std::string message =
        testing::message_of([&] { feaug::augment(gpu, policy, x.const_view(), {}, out.view()); });
    CAPTURE(message);
    CHECK(message.find(part) != std::string::npos);
  };
  says("soft_neighbour: k: got 5, wanted a number from 1 to 4",
       feaug::soft_neighbour_from(support.device(), {.k = 5}));
  auto host_counter = support.device();
  host_counter.size = support.counters;
  says("soft_neighbour: queue.size: got a pointer to ordinary host memory",
       feaug::soft_neighbour_from(host_counter, {.k = 2}));
  std::vector<index_t> on_host(4);
  says("soft_neighbour: indices: got a pointer to ordinary host memory",
       feaug::soft_neighbour_from(support.device(), {.k = 2}, {.indices = {on_host.data(), 2, 2}}));
}

}  // namespace soft_neighbour_test
