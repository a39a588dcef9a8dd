// What symmetric_info_nce, nt_xent and sigmoid are all tested for: N × D views, a reference over
// 2·N·D inputs and the loss's learnable numbers (a temperature; a scale and a bias).
#pragma once

#include <array>
#include <catch2/catch.hpp>
#include <cstddef>
#include <limits>
#include <utility>
#include <vector>

#include "feaug/core/operand.hpp"
#include "feaug/core/reduce.hpp"
#include "loss/reference.hpp"
#include "support/automatic_gradient.hpp"
#include "support/test_matrix.hpp"

namespace testing {

/// Loss: forward(ctx, a, b, loss, options, statistics), backward(…), with_gradients(…),
/// options_with(reduce, learnable numbers …), losses(n): row losses of n pairs, statistics(n),
/// rows<S>(a, b, numbers …): the reference.
template <class T, class Loss, std::size_t count>
void check_against_formula(const Loss& loss, index_t rows, index_t cols,
                           const double (&numbers)[count], feaug::reduce reduction) {
  using C = feaug::compute_t<T>;
  using feaug::differentiable;
  constexpr auto each_number = std::make_index_sequence<count>();
  const index_t padding = 3;
  const auto a = test_matrix<T>::normal(rows, cols, 11, padding);
  const auto b = test_matrix<T>::normal(rows, cols, 12, padding);
  test_matrix<T> d_a(rows, cols, padding);
  test_matrix<T> d_b(rows, cols, padding);
  std::array<C, count> learnable{};
  std::array<C, count> d_learnable{};
  for (std::size_t k = 0; k < count; ++k) learnable[k] = static_cast<C>(numbers[k]);
  std::vector<double> x = a.values();
  for (double v : b.values()) x.push_back(v);
  for (const C number : learnable) x.push_back(static_cast<double>(number));
  const auto losses = loss.losses(rows);
  std::vector<double> weights = equal_weights(losses, reduction == feaug::reduce::mean);
  std::vector<C> cotangent(1, C{1});
  if (reduction == feaug::reduce::none) {
    cotangent.clear();
    for (index_t i = 0; i < losses; ++i) {
      cotangent.push_back(static_cast<C>(0.5 * static_cast<double>(i % 5) - 0.75));
      weights[static_cast<std::size_t>(i)] = static_cast<double>(cotangent.back());
    }
  }
  const auto formula = [&]<class S>(const std::vector<S>& in) {
    const rows_of<S> first(in, 0, rows, cols);
    const rows_of<S> second(in, static_cast<std::size_t>(rows * cols), rows, cols);
    return [&]<std::size_t... k>(std::index_sequence<k...>) {
      return weighted(loss.template rows<S>(first, second, in[in.size() - count + k]...), weights);
    }
    (each_number);
  };
  const auto want = automatic_gradient([&](const std::vector<dual>& in) { return formula(in); }, x);
  if constexpr (std::is_same_v<T, double>) {
    const auto slopes =
        central_differences([&](const std::vector<double>& in) { return formula(in); }, x);
    CHECK(relative_error(want.gradient, slopes) < 1e-5);
  }
  const double allowed = tolerance<T>();
  const auto options = [&]<std::size_t... k>(std::index_sequence<k...>) {
    return loss.template options_with<T>(
        reduction, differentiable(feaug::scalar(learnable[k]), feaug::scalar(d_learnable[k]))...);
  }
  (each_number);
  const auto gradients = [&] {
    std::vector<double> all = d_a.values();
    for (double v : d_b.values()) all.push_back(v);
    for (const C gradient : d_learnable) all.push_back(static_cast<double>(gradient));
    d_a.fill(std::numeric_limits<double>::quiet_NaN());
    d_b.fill(std::numeric_limits<double>::quiet_NaN());
    return all;
  };

  feaug::cpu_context ctx{.threads = 2};
  const auto outputs = reduction == feaug::reduce::none ? losses : index_t{1};
  std::vector<C> loss_values(static_cast<std::size_t>(outputs));
  std::vector<C> statistics(static_cast<std::size_t>(loss.statistics(rows)));
  const feaug::vector_view<C> loss_view(loss_values.data(), outputs);
  const feaug::vector_view<C> statistics_view(statistics.data(), loss.statistics(rows));
  loss.forward(ctx, a.view(), b.view(), loss_view, options, statistics_view);
  double total = 0;
  for (std::size_t i = 0; i < loss_values.size(); ++i) {
    total +=
        static_cast<double>(loss_values[i]) * (reduction == feaug::reduce::none ? weights[i] : 1.0);
  }
  CHECK(total == Approx(want.value).epsilon(allowed).margin(allowed));
  loss.backward(
      ctx, differentiable(a.view(), d_a.view()), differentiable(b.view(), d_b.view()),
      statistics_view,
      feaug::vector_view<const C>(cotangent.data(), static_cast<index_t>(cotangent.size())),
      options);
  CHECK(relative_error(gradients(), want.gradient, 1e-2) < allowed);
  if (reduction == feaug::reduce::none) return;
  const C again = loss.with_gradients(ctx, differentiable(a.view(), d_a.view()),
                                      differentiable(b.view(), d_b.view()), options);
  CHECK(static_cast<double>(again) == Approx(static_cast<double>(loss_values[0])).epsilon(allowed));
  CHECK(relative_error(gradients(), want.gradient, 1e-2) < allowed);

  // One side stopped: the other's gradient is the same, though summed up in another way.
  loss.with_gradients(ctx, differentiable(a.view(), d_a.view()),
                      differentiable(b.view(), d_b.view()), options);
  test_matrix<T> alone(rows, cols);
  loss.with_gradients(ctx, differentiable(a.view(), alone.view()), feaug::stop_gradient(b.view()),
                      options);
  CHECK(relative_error(alone.values(), d_a.values(), 1e-2) < allowed);
  loss.with_gradients(ctx, feaug::stop_gradient(a.view()), differentiable(b.view(), alone.view()),
                      options);
  CHECK(relative_error(alone.values(), d_b.values(), 1e-2) < allowed);
  CHECK((d_a.padding_intact() && d_b.padding_intact()));
}

/// The same bits for one, two and three threads, at a size of several blocks and chunks.
template <class Loss>
void check_thread_counts(const Loss& loss) {
  const auto a = test_matrix<float>::normal(200, 31, 1);
  const auto b = test_matrix<float>::normal(200, 31, 2);
  std::vector<double> first;
  for (int threads = 1; threads <= 3; ++threads) {
    feaug::cpu_context ctx{.threads = threads};
    test_matrix<float> d_a(200, 31);
    test_matrix<float> d_b(200, 31);
    const auto options = loss.template options_with<float>(feaug::reduce::mean, {});
    const float value = loss.with_gradients(ctx, feaug::differentiable(a.view(), d_a.view()),
                                            feaug::differentiable(b.view(), d_b.view()), options);
    std::vector<double> all = d_a.values();
    for (double v : d_b.values()) all.push_back(v);
    all.push_back(static_cast<double>(value));
    if (first.empty()) first = all;
    CHECK(all == first);
  }
}

/// Zero rows, huge rows, with the lowest temperature or what else makes logits large: finite, and
/// no gradient for a row without direction.
template <class Loss, std::size_t count>
void check_extreme_rows(const Loss& loss, const float (&numbers)[count]) {
  auto a = test_matrix<float>::normal(4, 3, 1);
  auto b = test_matrix<float>::normal(4, 3, 2);
  a.fill_row(1, 0.0);
  b.fill_row(2, -1e18);
  a.fill_row(3, 1e-30);
  test_matrix<float> d_a(4, 3);
  test_matrix<float> d_b(4, 3);
  feaug::cpu_context ctx{.threads = 1};
  const auto options = [&]<std::size_t... k>(std::index_sequence<k...>) {
    return loss.template options_with<float>(feaug::reduce::mean,
                                             feaug::stop_gradient(feaug::scalar(numbers[k]))...);
  }
  (std::make_index_sequence<count>());
  CHECK(std::isfinite(loss.with_gradients(ctx, feaug::differentiable(a.view(), d_a.view()),
                                          feaug::differentiable(b.view(), d_b.view()), options)));
  for (double v : d_a.values()) CHECK(std::isfinite(v));
  for (double v : d_b.values()) CHECK(std::isfinite(v));
  for (index_t j = 0; j < 3; ++j) CHECK((d_a.get(1, j) == 0.0 && d_a.get(3, j) == 0.0));

  b.set(0, 1, std::numeric_limits<double>::quiet_NaN());
  CHECK(std::isnan(loss.with_gradients(ctx, feaug::differentiable(a.view(), d_a.view()),
                                       feaug::differentiable(b.view(), d_b.view()), options)));
}

}  // namespace testing
