// slerp and exchange_moments on a GPU against the CPU: values, gradients, selections, edges,
// aliases, any schedule, bad arguments.
#include "feaug/cuda/augment/row_mix.cuh"

#include <catch2/catch.hpp>
#include <limits>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "cuda/support/device_array.hpp"
#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/augment/compose.hpp"
#include "feaug/augment/one_of.hpp"
#include "feaug/cpu/augment/elementwise.hpp"
#include "feaug/cpu/augment/row_mix.hpp"
#include "feaug/cuda/augment/elementwise.cuh"
#include "support/exchange_means.hpp"
#include "support/message_of.hpp"

namespace row_mix_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::gradient_mode;
using feaug::index_t;
using feaug::random_key;
using testing::exchange_means;
using testing::test_matrix;

namespace {

constexpr random_key key{.seed = 11, .step = 5, .stream = 2, .row_offset = 3};

template <class T>
using device_operand = feaug::operand<T, 2, feaug::memory_space::device>;

struct shape {
  index_t rows;
  index_t cols;
  index_t padding;
};
const shape shapes[] = {{0, 5, 0}, {3, 0, 0}, {1, 1, 0}, {1, 7, 1}, {37, 5, 3}, {33, 131, 1}};

/// The same values, NaN where the CPU has NaN. Sums are doubles on both sides, so only the last
/// bits of what is stored may differ.
template <class T>
void check_same(const test_matrix<T>& got, const test_matrix<T>& want) {
  CHECK(got.padding_intact());
  const double tolerance = std::is_same_v<T, double> ? 1e-11 : testing::tolerance<T>() / 50;
  CHECK(testing::relative_error(got.values(), want.values()) <= tolerance);
}

/// On the CPU and on the device: values and gradients, with overwrite and accumulate.
template <class T, class Policy>
void compare(const Policy& policy, const test_matrix<T>& x) {
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  const auto g = test_matrix<T>::normal(x.rows(), x.cols(), 2, 2);
  test_matrix<T> want(x.rows(), x.cols(), 3);
  const device_copy<T> got(want);
  const device_copy<T> device_x(x);
  const device_copy<T> device_g(g);
  feaug::augment(cpu, policy, x.view(), key, want.view());
  feaug::augment(gpu, policy, device_x.const_view(), key, got.view());
  check_same(got.host(), want);
  for (const auto mode : {gradient_mode::overwrite, gradient_mode::accumulate}) {
    auto want_dx = test_matrix<T>::normal(x.rows(), x.cols(), 3, 1);
    const device_copy<T> got_dx(want_dx);
    feaug::augment_backward(cpu, policy, feaug::operand<T>{x.view(), want_dx.view(), mode}, key,
                            g.view());
    feaug::augment_backward(gpu, policy,
                            device_operand<T>{device_x.const_view(), got_dx.view(), mode}, key,
                            device_g.const_view());
    check_same(got_dx.host(), want_dx);
  }
}

/// The same with a partner that is the caller's and has a gradient; which sides have is run
/// through.
template <class T, class Mix>
void compare_partnered(const Mix& mix, const test_matrix<T>& x, const test_matrix<T>& partner) {
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  const index_t rows = x.rows();
  const index_t cols = x.cols();
  const auto g = test_matrix<T>::normal(rows, cols, 2, 2);
  test_matrix<T> want(rows, cols, 3);
  const device_copy<T> got(want);
  const device_copy<T> device_x(x);
  const device_copy<T> device_partner(partner);
  const device_copy<T> device_g(g);
  feaug::augment(cpu, feaug::with_partner(mix, partner.view()), x.view(), key, want.view());
  feaug::augment(gpu, feaug::with_partner(mix, device_partner.const_view()), device_x.const_view(),
                 key, got.view());
  check_same(got.host(), want);
  const gradient_mode modes[] = {gradient_mode::none, gradient_mode::overwrite,
                                 gradient_mode::accumulate};
  for (const auto of_x : modes) {
    for (const auto of_partner : modes) {
      auto want_dx = test_matrix<T>::normal(rows, cols, 4, 1);
      auto want_dp = test_matrix<T>::normal(rows, cols, 5, 2);
      const device_copy<T> got_dx(want_dx);
      const device_copy<T> got_dp(want_dp);
      feaug::augment_backward(
          cpu,
          feaug::with_partner(mix, feaug::operand<T>{partner.view(), want_dp.view(), of_partner}),
          feaug::operand<T>{x.view(), want_dx.view(), of_x}, key, g.view());
      feaug::augment_backward(
          gpu,
          feaug::with_partner(
              mix, device_operand<T>{device_partner.const_view(), got_dp.view(), of_partner}),
          device_operand<T>{device_x.const_view(), got_dx.view(), of_x}, key,
          device_g.const_view());
      check_same(got_dx.host(), want_dx);
      check_same(got_dp.host(), want_dp);
    }
  }
}

}  // namespace

TEMPLATE_TEST_CASE("row mixes do what they do on the CPU", "[cuda][augment][row_mix]", double,
                   float, feaug::half, feaug::bfloat16) {
  using T = TestType;
  using feaug::weight_distribution;
  for (const shape& s : shapes) {
    CAPTURE(s.rows, s.cols);
    const auto x = test_matrix<T>::normal(s.rows, s.cols, 1, s.padding);
    const auto partner = test_matrix<T>::normal(s.rows, s.cols, 7, 1);
    compare(feaug::slerp{.weight = 0.3F}, x);
    compare(feaug::slerp{.distribution = weight_distribution::beta, .alpha = 0.5F}, x);
    compare(
        feaug::slerp{.distribution = weight_distribution::uniform, .per = feaug::draw_per::call},
        x);
    compare(feaug::exchange_moments{}, x);
    compare(exchange_means{}, x);
    compare(feaug::one_of({0.3F, 0.3F, 0.4F}, feaug::slerp{}, feaug::exchange_moments{},
                          feaug::keep_features{}),
            x);
    compare(feaug::compose(feaug::exchange_moments{.eps = 0.25}, feaug::slerp{}), x);
    if (s.rows * s.cols == 0) continue;
    compare_partnered(feaug::slerp{.distribution = weight_distribution::uniform}, x, partner);
    compare_partnered(feaug::exchange_moments{}, x, partner);
    compare_partnered(exchange_means{}, x, partner);
  }
}

TEST_CASE("row mixes at the edges are the CPU's", "[cuda][augment][row_mix]") {
  const double infinity = std::numeric_limits<double>::infinity();
  auto x = test_matrix<double>::normal(12, 40, 1);
  auto partner = test_matrix<double>::normal(12, 40, 2);
  x.fill_row(0, 0);
  x.fill_row(1, 1e-14);
  x.fill_row(2, 7);
  partner.fill_row(2, 14);  // the same direction
  x.fill_row(3, -3);
  partner.fill_row(3, 6);  // the opposite one
  partner.fill_row(4, 0);
  x.set(5, 33, std::numeric_limits<double>::quiet_NaN());
  partner.set(6, 1, infinity);
  x.set(7, 0, -infinity);
  for (index_t j = 0; j < 40; ++j) {
    x.set(8, j, x.get(8, j) * 1e200);
    partner.set(9, j, partner.get(9, j) * 1e-9);
    x.set(10, j, x.get(10, j) + 1e6);
  }
  compare_partnered(feaug::slerp{.weight = 0.3F}, x, partner);
  compare_partnered(feaug::exchange_moments{}, x, partner);
  // Gradients are large and small side by side there: each row by itself.
  for (index_t i = 0; i < 12; ++i) {
    CAPTURE(i);
    test_matrix<double> row(1, 40);
    test_matrix<double> other(1, 40);
    for (index_t j = 0; j < 40; ++j) {
      row.set(0, j, x.get(i, j));
      other.set(0, j, partner.get(i, j));
    }
    compare_partnered(feaug::slerp{.weight = 0.7F}, row, other);
    compare_partnered(feaug::exchange_moments{}, row, other);
  }
}

TEST_CASE("what row mixes draw is the CPU's, and can be given", "[cuda][augment][row_mix]") {
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  std::vector<index_t> order(37);
  std::vector<float> weights(37);
  const device_array<index_t> device_order(order);
  const device_array<float> device_weights(weights);
  const feaug::device_vector<index_t> drawn(device_order.data(), 37);
  feaug::draw(cpu, feaug::exchange_moments{}, key, {order.data(), 37});
  feaug::draw(gpu, feaug::exchange_moments{}, key, drawn);
  CHECK(device_order.to_host() == order);
  const feaug::slerp mix{.distribution = feaug::weight_distribution::beta};
  feaug::draw(cpu, mix, key, feaug::vector_view<float>(weights.data(), 37),
              feaug::vector_view<index_t>(order.data(), 37));
  feaug::draw(gpu, mix, key, feaug::device_vector<float>(device_weights.data(), 37), drawn);
  CHECK(device_order.to_host() == order);
  CHECK(device_weights.to_host() == weights);

  const auto x = test_matrix<float>::normal(37, 20, 1);
  test_matrix<float> partner(37, 20);
  for (index_t i = 0; i < 37; ++i) {
    for (index_t j = 0; j < 20; ++j)
      partner.set(i, j, x.get(order[static_cast<std::size_t>(i)], j));
  }
  const device_copy<float> device_x(x);
  const device_copy<float> device_partner(partner);
  const device_copy<float> by_draw(x);
  const device_copy<float> given(x);
  feaug::augment(gpu, mix, device_x.const_view(), key, by_draw.view());
  feaug::augment(gpu,
                 feaug::with_weights(mix, feaug::stop_gradient(device_partner.const_view()),
                                     {device_weights.data(), 37}),
                 device_x.const_view(), key, given.view());
  CHECK(given.host().values() == by_draw.host().values());
}

TEMPLATE_TEST_CASE("row mixes may write where they read, and the order of threads is nothing",
                   "[cuda][augment][row_mix]", feaug::slerp, feaug::exchange_moments) {
  const auto x = test_matrix<float>::normal(19, 70, 4, 2);
  const auto partner = test_matrix<float>::normal(19, 70, 5, 1);
  const auto g = test_matrix<float>::normal(19, 70, 6);
  const TestType mix;
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    feaug::cuda_context gpu;
    const device_copy<float> over_x(x);
    const device_copy<float> over_partner(partner);
    const device_copy<float> over_g(g);
    const device_copy<float> device_x(x);
    const device_copy<float> device_partner(partner);
    const device_copy<float> device_g(g);
    const device_copy<float> dp(partner);
    const device_copy<float> permuted(x);
    const auto policy = feaug::with_partner(mix, device_partner.const_view());
    feaug::augment(gpu, policy, over_x.const_view(), key, over_x.view());
    feaug::augment(gpu, feaug::with_partner(mix, over_partner.const_view()), device_x.const_view(),
                   key, over_partner.view());
    CHECK(over_x.host().values() == over_partner.host().values());
    feaug::augment_backward(
        gpu, feaug::with_partner(mix, differentiable(device_partner.const_view(), dp.view())),
        differentiable(device_x.const_view(), over_g.view()), key, over_g.const_view());
    feaug::augment_backward(gpu, mix, differentiable(device_x.const_view(), permuted.view()), key,
                            device_g.const_view());
    std::vector<double> all = over_x.host().values();
    for (const auto* part : {&over_g, &dp, &permuted}) {
      for (double v : part->host().values()) all.push_back(v);
    }
    if (first.empty()) first = all;
    CHECK(all == first);
  });
}

TEST_CASE("row mixes refuse bad arguments before anything runs", "[cuda][augment][row_mix]") {
  feaug::cuda_context gpu;
  const auto x = test_matrix<float>::normal(4, 6, 1);
  const device_copy<float> device_x(x);
  const device_copy<float> out(x);
  const auto said = [&](const auto& policy) {
    return testing::message_of(
        [&] { feaug::augment(gpu, policy, device_x.const_view(), key, out.view()); });
  };
  CHECK(said(feaug::slerp{.weight = 2}) == "slerp: weight: got 2, wanted a weight from 0 to 1");
  CHECK(said(feaug::exchange_moments{.eps = 0}) ==
        "exchange_moments: eps: got 0, wanted a finite number above 0");
  const feaug::device_matrix<const float> on_host(x.memory().data(), 4, 6);
  CHECK_THAT(said(feaug::with_partner(feaug::slerp{}, on_host)),
             Catch::Matchers::StartsWith("slerp: partner: got a pointer to ordinary host memory"));
  CHECK_THAT(said(feaug::with_partner(feaug::exchange_moments{}, on_host)),
             Catch::Matchers::StartsWith(
                 "exchange_moments: partner: got a pointer to ordinary host memory"));
  CHECK(testing::message_of([&] {
          feaug::augment(gpu, feaug::slerp{}, out.const_view(), key, out.view());
        }) == "slerp: out: got memory that overlaps x, wanted memory of its own");
  const device_array<index_t> order(std::vector<index_t>(8));
  feaug::device_vector<index_t> every_other(order.data(), 4);
  every_other.strides[0] = 2;
  CHECK(testing::message_of([&] {
          feaug::draw(gpu, feaug::exchange_moments{}, key, every_other);
        }) == "draw: permutation: got stride 2, wanted stride 1");
  CHECK(out.host().values() == x.values());
}

}  // namespace row_mix_test
