// kl_to_standard_normal against its formula and automatic differentiation; weights, edges, bad
// arguments.
#include "feaug/cpu/loss/kl_to_standard_normal.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/automatic_gradient.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace kl_to_standard_normal_test {

using feaug::accumulate;
using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::reduce;
using feaug::stop_gradient;
using testing::dual;
using testing::message_of;
using testing::test_matrix;

namespace {

const double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// The row's divergence, as the formula stands. `in` holds all means, then all log-variances.
template <class C>
C row_loss(const std::vector<C>& in, std::size_t row, std::size_t cols) {
  const std::size_t half_of = in.size() / 2;
  C sum = in[row * cols] * 0.0;
  for (std::size_t j = row * cols; j < (row + 1) * cols; ++j) {
    using std::exp;
    sum += 0.5 * (in[j] * in[j] + exp(in[half_of + j]) - 1.0 - in[half_of + j]);
  }
  return sum;
}

}  // namespace

TEMPLATE_TEST_CASE("kl_to_standard_normal and its gradients are the formula's", "[kl]", double,
                   float, feaug::half, feaug::bfloat16) {
  using T = TestType;
  using C = feaug::compute_t<T>;
  const index_t rows = 5;
  const index_t cols = 7;
  const reduce reduction = GENERATE(reduce::mean, reduce::sum, reduce::none);
  CAPTURE(static_cast<int>(reduction));
  const auto mean = test_matrix<T>::normal(rows, cols, 1, 1);
  const auto logs = test_matrix<T>::normal(rows, cols, 2, 2);
  const bool per_row = reduction == reduce::none;
  const index_t outputs = per_row ? rows : 1;
  std::vector<C> cotangent(static_cast<std::size_t>(outputs), C{0.5});
  cotangent[0] = C{-2};
  std::vector<C> row_weights = {C{1}, C{0.5}, C{2}, C{0}, C{-1}};
  std::vector<double> inputs = mean.values();
  for (double v : logs.values()) inputs.push_back(v);
  const auto weight = [&](std::size_t i) {
    const double share = reduction == reduce::mean ? 1.0 / static_cast<double>(rows) : 1.0;
    return share * static_cast<double>(row_weights[i]);
  };
  const auto want = testing::automatic_gradient(
      [&](const std::vector<dual>& in) {
        dual sum = in[0] * 0.0;
        for (std::size_t i = 0; i < 5; ++i)
          sum += row_loss(in, i, 7) * (weight(i) * static_cast<double>(cotangent[per_row ? i : 0]));
        return sum;
      },
      inputs);
  const std::vector<double> want_mean(want.gradient.begin(), want.gradient.begin() + 35);
  const std::vector<double> want_logs(want.gradient.begin() + 35, want.gradient.end());

  cpu_context ctx{.threads = 2};
  const feaug::kl_to_standard_normal_options<T> options{.reduction = reduction,
                                                        .row_weights = {row_weights.data(), rows}};
  std::vector<C> loss(static_cast<std::size_t>(outputs));
  feaug::kl_to_standard_normal(ctx, mean.view(), logs.view(), {loss.data(), outputs}, options);
  double total = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    const double of_row = weight(i) * row_loss(inputs, i, 7);
    total += of_row;
    if (per_row) CHECK(static_cast<double>(loss[i]) == Approx(of_row).margin(1e-6));
  }
  if (!per_row) CHECK(static_cast<double>(loss[0]) == Approx(total).epsilon(1e-6));

  test_matrix<T> dmean(rows, cols, 3);
  test_matrix<T> dlogs(rows, cols, 1);
  dmean.fill(not_a_number);
  dlogs.fill(not_a_number);
  const auto backward = [&](const auto& a, const auto& b) {
    feaug::kl_to_standard_normal_backward(ctx, a, b, {cotangent.data(), outputs}, options);
  };
  backward(differentiable(mean.view(), dmean.view()), differentiable(logs.view(), dlogs.view()));
  CHECK(testing::relative_error(dmean.values(), want_mean) < testing::tolerance<T>());
  CHECK(testing::relative_error(dlogs.values(), want_logs) < testing::tolerance<T>());
  CHECK((dmean.padding_intact() && dlogs.padding_intact()));
  // Each side alone, and added.
  const auto both_mean = dmean.values();
  const auto both_logs = dlogs.values();
  dmean.fill(7.0);
  backward(stop_gradient(mean.view()), differentiable(logs.view(), dlogs.view()));
  CHECK((dlogs.values() == both_logs && dmean.get(0, 0) == 7.0));
  dlogs.fill(5.0);
  backward(differentiable(mean.view(), dmean.view()), stop_gradient(logs.view()));
  CHECK((dmean.values() == both_mean && dlogs.get(0, 0) == 5.0));
  dmean.fill(1.0);
  backward(accumulate(mean.view(), dmean.view()), accumulate(logs.view(), dlogs.view()));
  for (std::size_t i = 0; i < 35; ++i) {
    CHECK(dmean.values()[i] == Approx(1.0 + both_mean[i]).margin(8 * testing::tolerance<T>()));
    CHECK(dlogs.values()[i] == Approx(5.0 + both_logs[i]).margin(8 * testing::tolerance<T>()));
  }
  // Loss and gradients at once, scaled.
  feaug::kl_to_standard_normal_options<T> scaled = options;
  scaled.gradient_scale = 3;
  std::vector<C> again(loss.size());
  feaug::kl_to_standard_normal_with_gradients(ctx, differentiable(mean.view(), dmean.view()),
                                              differentiable(logs.view(), dlogs.view()),
                                              {again.data(), outputs}, scaled);
  CHECK(again == loss);
  for (std::size_t i = 0; i < 35; ++i) {
    const double factor = 3 * weight(i / 7);
    CHECK(dmean.values()[i] ==
          Approx(factor * inputs[i]).epsilon(testing::tolerance<T>()).margin(1e-6));
  }
}

TEST_CASE("kl_to_standard_normal at the edges", "[kl]") {
  cpu_context ctx{.threads = 1};
  // The prior itself, and so near to it that exp(v) − 1 − v cancels.
  test_matrix<double> mean(1, 1);
  test_matrix<double> logs(1, 1);
  CHECK(feaug::kl_to_standard_normal(ctx, mean.view(), logs.view()) == 0.0);
  logs.set(0, 0, 1e-6);
  CHECK(feaug::kl_to_standard_normal(ctx, mean.view(), logs.view()) ==
        Approx(0.25e-12).epsilon(1e-3));
  logs.set(0, 0, 800.0);
  CHECK(std::isinf(feaug::kl_to_standard_normal(ctx, mean.view(), logs.view())));

  auto x = test_matrix<float>::normal(3, 4, 1);
  const auto y = test_matrix<float>::normal(3, 4, 2);
  x.set(1, 2, not_a_number);
  std::vector<float> losses(3);
  test_matrix<float> dx(3, 4);
  feaug::kl_to_standard_normal_with_gradients(ctx, differentiable(x.view(), dx.view()),
                                              stop_gradient(y.view()), {losses.data(), 3},
                                              {.reduction = reduce::none});
  CHECK((std::isfinite(losses[0]) && std::isnan(losses[1]) && std::isfinite(losses[2])));
  CHECK((std::isfinite(dx.get(0, 2)) && std::isnan(dx.get(1, 2)) && std::isfinite(dx.get(2, 2))));

  const auto many = test_matrix<float>::normal(500, 90, 3);
  const auto more = test_matrix<float>::normal(500, 90, 4);
  float first = 0;
  for (int threads = 1; threads <= 3; ++threads) {
    cpu_context some{.threads = threads};
    const float loss = feaug::kl_to_standard_normal(some, many.view(), more.view());
    if (threads == 1) first = loss;
    CHECK(loss == first);
  }
}

TEST_CASE("kl_to_standard_normal names what is wrong, before it writes", "[kl][misuse]") {
  cpu_context ctx{.threads = 1};
  auto x = test_matrix<float>::normal(3, 4, 1);
  const auto y = test_matrix<float>::normal(3, 4, 2);
  const test_matrix<float> none(0, 4);
  test_matrix<float> dx(3, 4);
  dx.fill(9.0);
  std::vector<float> loss(3, 9.0F);
  const std::string op = "kl_to_standard_normal";
  CHECK(message_of([&] {
          feaug::kl_to_standard_normal(ctx, x.view(), y.view().rows_from(0, 2));
        }) == op + ": log_variance: got shape (2, 4), wanted shape (3, 4) as mean");
  CHECK(message_of([&] { feaug::kl_to_standard_normal(ctx, none.view(), none.view()); }) ==
        op + ": mean: got shape (0, 4), wanted at least one row and one column");
  CHECK(message_of([&] {
          feaug::kl_to_standard_normal(ctx, x.view(), y.view(), {.reduction = reduce::none});
        }) == op + ": reduction: got none, wanted mean or sum, or a view for a loss a row");
  CHECK(message_of([&] {
          feaug::kl_to_standard_normal(ctx, x.view(), y.view(), {loss.data(), 3});
        }) == op + ": loss: got 3 elements, wanted 1 (the reduced loss)");
  CHECK(message_of([&] {
          feaug::kl_to_standard_normal(ctx, x.view(), y.view(), {.gradient_scale = not_a_number});
        }) == op + ": gradient_scale: got nan, wanted a finite number");
  CHECK(message_of([&] {
          feaug::kl_to_standard_normal(ctx, x.view(), y.view(), {.row_weights = {loss.data(), 2}});
        }) == op + ": row_weights: got 2 elements, wanted 3 (one a row of the loss)");
  CHECK(message_of([&] {
          feaug::kl_to_standard_normal_backward(ctx, differentiable(x.view(), dx.view()),
                                                stop_gradient(y.view()), {});
        }) == op + "_backward: cotangent: got no elements, wanted one, or one a row with "
                   "reduce::none");
  CHECK(message_of([&] {
          feaug::kl_to_standard_normal_with_gradients(ctx, differentiable(x.view(), x.view()),
                                                      stop_gradient(y.view()));
        }) == op +
                  "_with_gradients: gradient of mean: got memory that overlaps mean, wanted memory "
                  "of its own");
  CHECK(message_of([&] {
          feaug::kl_to_standard_normal_with_gradients(ctx, differentiable(x.view(), dx.view()),
                                                      differentiable(y.view(), dx.view()));
        }) == op + "_with_gradients: gradient of mean: got memory that overlaps gradient of "
                   "log_variance, wanted memory of its own");
  CHECK((dx.values() == std::vector<double>(12, 9.0) && loss == std::vector<float>(3, 9.0F)));
}

}  // namespace kl_to_standard_normal_test
