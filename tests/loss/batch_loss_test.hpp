// What barlow_twins, vicreg and hypersphere are tested for: one number from statistics over a
// batch.
#pragma once

#include <catch2/catch.hpp>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <vector>

#include "feaug/core/operand.hpp"
#include "feaug/cpu/core/columns.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/cross_moments.hpp"
#include "loss/reference.hpp"
#include "support/automatic_gradient.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace testing {

/// Column j of x, its mean taken out.
template <class S>
std::vector<S> centred_column(const rows_of<S>& x, index_t j) {
  const auto at = static_cast<std::size_t>(j);
  S mean = x[0][at];
  for (index_t i = 1; i < x.size(); ++i) mean += x[i][at];
  mean = mean / static_cast<double>(x.size());
  std::vector<S> column;
  for (index_t i = 0; i < x.size(); ++i) column.push_back(x[i][at] - mean);
  return column;
}

/// Loss: name, options, formula<S>(a, b, options) → S, forward(ctx, a, b, loss, options),
/// backward(ctx, a, b, cotangent, options), with_gradients(ctx, a, b[, loss], options).
template <class T, class Loss>
void check_batch_loss(const Loss& loss, index_t rows, index_t cols,
                      const typename Loss::options& options) {
  using C = feaug::compute_t<T>;
  using feaug::differentiable;
  CAPTURE(rows, cols);
  const auto a = test_matrix<T>::normal(rows, cols, 11, 3);
  const auto b = test_matrix<T>::normal(rows, cols, 12, 1);
  test_matrix<T> d_a(rows, cols, 2);
  test_matrix<T> d_b(rows, cols, 3);
  std::vector<double> x = a.values();
  for (const double v : b.values()) x.push_back(v);
  const auto formula = [&]<class S>(const std::vector<S>& in) {
    const rows_of<S> first(in, 0, rows, cols);
    const rows_of<S> second(in, static_cast<std::size_t>(rows * cols), rows, cols);
    return loss.formula(first, second, options);
  };
  auto want = automatic_gradient([&](const std::vector<dual>& in) { return formula(in); }, x);
  if constexpr (std::is_same_v<T, double>) {
    const auto slopes =
        central_differences([&](const std::vector<double>& in) { return formula(in); }, x, 1e-6);
    CHECK(relative_error(want.gradient, slopes) < 1e-5);
  }
  const double allowed = tolerance<T>();
  feaug::cpu_context ctx{.threads = 2};
  const auto gradients = [&] {
    std::vector<double> all = d_a.values();
    for (const double v : d_b.values()) all.push_back(v);
    d_a.fill(std::numeric_limits<double>::quiet_NaN());
    d_b.fill(std::numeric_limits<double>::quiet_NaN());
    return all;
  };
  const C forward = loss.forward_number(ctx, a.view(), b.view(), options);
  CHECK(static_cast<double>(forward) == Approx(want.value).epsilon(allowed));
  const C at_once = loss.with_gradients(ctx, differentiable(a.view(), d_a.view()),
                                        differentiable(b.view(), d_b.view()), options);
  CHECK(at_once == forward);
  CHECK(relative_error(gradients(), want.gradient, 1e-2) < allowed);

  // Backward from a cotangent, with a scale besides.
  auto scaled = options;
  scaled.gradient_scale = -4;
  C cotangent = C(0.5);
  loss.backward(ctx, differentiable(a.view(), d_a.view()), differentiable(b.view(), d_b.view()),
                feaug::scalar(cotangent), scaled);
  for (double& v : want.gradient) v *= -2;
  const std::vector<double> both = gradients();
  CHECK(relative_error(both, want.gradient, 1e-2) < allowed);

  // One side stopped: the other's gradient is the same, bit for bit; added to what is there.
  test_matrix<T> alone(rows, cols);
  alone.fill(2);
  loss.backward(ctx, accumulate(a.view(), alone.view()), feaug::stop_gradient(b.view()),
                feaug::scalar(cotangent), scaled);
  for (index_t i = 0; i < rows * cols; ++i) {
    const T sum =
        feaug::store<T>(static_cast<C>(2) + static_cast<C>(both[static_cast<std::size_t>(i)]));
    if constexpr (std::is_same_v<T, double>) {
      CHECK(alone.get(i / cols, i % cols) == sum);
    } else {
      CHECK(alone.get(i / cols, i % cols) ==
            Approx(static_cast<double>(feaug::load(sum))).margin(4 * allowed));
    }
  }
  const C stopped = loss.with_gradients(ctx, feaug::stop_gradient(a.view()),
                                        differentiable(b.view(), alone.view()), options);
  CHECK(static_cast<double>(stopped) == Approx(static_cast<double>(forward)).epsilon(allowed));
  loss.with_gradients(ctx, differentiable(a.view(), d_a.view()),
                      differentiable(b.view(), d_b.view()), options);
  CHECK(alone.values() == d_b.values());
  CHECK((d_a.padding_intact() && d_b.padding_intact()));
}

/// The same bits for one, two and three threads, where tiles and chunks meet; and within rounding
/// the same as in another storage.
template <class Loss>
void check_batch_threads(const Loss& loss) {
  const index_t rows = 300;
  const index_t cols = 150;
  const auto a = test_matrix<float>::normal(rows, cols, 1);
  const auto b = test_matrix<float>::normal(rows, cols, 2);
  std::vector<double> first;
  float first_loss = 0;
  for (const int threads : {1, 2, 3}) {
    feaug::cpu_context ctx{.threads = threads};
    test_matrix<float> d_a(rows, cols);
    test_matrix<float> d_b(rows, cols);
    const float got = loss.with_gradients(ctx, feaug::differentiable(a.view(), d_a.view()),
                                          feaug::differentiable(b.view(), d_b.view()), {});
    std::vector<double> all = d_a.values();
    for (const double v : d_b.values()) all.push_back(v);
    if (threads == 1) {
      first = all;
      first_loss = got;
    }
    CHECK(got == first_loss);
    CHECK(all == first);
  }
  const auto wide = [](const test_matrix<float>& x) {
    test_matrix<double> same(x.rows(), x.cols());
    for (index_t i = 0; i < x.rows(); ++i) {
      for (index_t j = 0; j < x.cols(); ++j) same.set(i, j, x.get(i, j));
    }
    return same;
  };
  const auto a_double = wide(a);
  const auto b_double = wide(b);
  test_matrix<double> d_a(rows, cols);
  test_matrix<double> d_b(rows, cols);
  feaug::cpu_context ctx{.threads = 2};
  const double got = loss.with_gradients(ctx, feaug::differentiable(a_double.view(), d_a.view()),
                                         feaug::differentiable(b_double.view(), d_b.view()), {});
  CHECK(static_cast<double>(first_loss) == Approx(got).epsilon(1e-5));
  std::vector<double> all = d_a.values();
  for (const double v : d_b.values()) all.push_back(v);
  CHECK(relative_error(first, all) < 5e-5);
  // And those are the formula's: the slope by one element far from the first tile.
  const auto value = [&](double by) {
    auto moved = a_double;
    moved.set(290, 140, moved.get(290, 140) + by);
    return loss.forward_number(ctx, moved.view(), b_double.view(), {});
  };
  CHECK(d_a.get(290, 140) == Approx((value(1e-4) - value(-1e-4)) / 2e-4).epsilon(1e-5));
  CHECK(loss.forward_number(ctx, a_double.view(), b_double.view(), {}) ==
        Approx(loss.formula(rows_of<double>(a_double.values(), 0, rows, cols),
                            rows_of<double>(b_double.values(), 0, rows, cols), {}))
            .epsilon(1e-12));
}

/// NaN and ∞, wherever they are, make the loss NaN.
template <class Loss>
void check_batch_not_finite(const Loss& loss) {
  feaug::cpu_context ctx{.threads = 1};
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    for (const index_t cols : {index_t{1}, index_t{3}}) {
      auto a = test_matrix<float>::normal(4, cols, 1);
      const auto b = test_matrix<float>::normal(4, cols, 2);
      a.set(2, cols - 1, bad);
      CHECK(std::isnan(loss.forward_number(ctx, a.view(), b.view(), {})));
      CHECK(std::isnan(loss.forward_number(ctx, b.view(), a.view(), {})));
      test_matrix<float> d_a(4, cols);
      loss.with_gradients(ctx, feaug::differentiable(a.view(), d_a.view()),
                          feaug::stop_gradient(b.view()), {});
      for (index_t i = 0; i < 4; ++i) CHECK(std::isnan(d_a.get(i, cols - 1)));
    }
  }
}

/// What is refused, in each of the entries, to the word.
template <class Loss>
void check_batch_misuse(const Loss& loss) {
  using feaug::differentiable;
  const std::string name = Loss::name;
  feaug::cpu_context ctx{.threads = 1};
  const auto x = test_matrix<float>::normal(4, 3, 1);
  const auto y = test_matrix<float>::normal(4, 3, 2);
  test_matrix<float> dx(4, 3);
  dx.fill(5);
  float loss_value = 5;
  float one = 1;
  feaug::operand<float> a = differentiable(x.view(), dx.view());
  feaug::operand<float> b = feaug::stop_gradient(y.view());
  typename Loss::options options;
  const auto all = [&](const std::string& wanted, bool forward = true) {
    if (forward) {
      CHECK(message_of([&] {
              loss.forward(ctx, a.value, b.value, feaug::scalar(loss_value), options);
            }) == name + ": " + wanted);
    }
    CHECK(message_of([&] { loss.backward(ctx, a, b, feaug::scalar(one), options); }) ==
          name + "_backward: " + wanted);
    CHECK(message_of([&] { loss.with_gradients(ctx, a, b, feaug::scalar(loss_value), options); }) ==
          name + "_with_gradients: " + wanted);
    CHECK(dx.values() == std::vector<double>(12, 5.0));
    CHECK(loss_value == 5);
  };
  SECTION("one row") {
    a = differentiable(x.view().rows_from(0, 1), dx.view().rows_from(0, 1));
    b = feaug::stop_gradient(y.view().rows_from(0, 1));
    all("a: got 1 row, wanted at least 2, since the loss is of statistics over rows");
  }
  SECTION("no rows") {
    a = feaug::stop_gradient(x.view().rows_from(0, 0));
    all("a: got shape (0, 3), wanted at least one row and one column");
  }
  SECTION("shapes") {
    b = feaug::stop_gradient(y.view().rows_from(0, 3));
    all("b: got shape (3, 3), wanted shape (4, 3) as a");
  }
  SECTION("null") {
    b.value.data = nullptr;
    all("b: got a null pointer with shape (4, 3), wanted a pointer to its elements");
  }
  SECTION("strides") {
    b.value.strides[1] = 2;
    all("b: got stride 2 along the features, wanted stride 1 (contiguous features)");
  }
  SECTION("destinations") {
    b = feaug::stop_gradient(dx.view());
    all("gradient of a: got memory that overlaps b, wanted memory of its own", false);
    b = differentiable(y.view(), dx.view());
    all("gradient of a: got memory that overlaps gradient of b, wanted memory of its own", false);
    a.gradient.extents[0] = 3;
    all("gradient of a: got shape (3, 3), wanted shape (4, 3) as a", false);
  }
  if constexpr (requires { options.eps; }) {
    SECTION("eps") {
      options.eps = 0;
      all("eps: got 0, wanted a finite number above 0");
    }
  }
  SECTION("gradient_scale") {
    options.gradient_scale = std::numeric_limits<double>::infinity();
    all("gradient_scale: got inf, wanted a finite number");
  }
  SECTION("loss and cotangent") {
    float two[2] = {5, 5};
    const feaug::vector_view<float> pair(two, 2);
    CHECK(message_of([&] { loss.forward(ctx, a.value, b.value, pair, options); }) ==
          name + ": loss: got 2 elements, wanted 1 (the reduced loss)");
    CHECK(message_of([&] { loss.with_gradients(ctx, a, b, pair, options); }) ==
          name + "_with_gradients: loss: got 2 elements, wanted 1 (the reduced loss)");
    CHECK(message_of([&] { loss.backward(ctx, a, b, pair, options); }) ==
          name + "_backward: cotangent: got 2 elements, wanted 1 (the elements of the loss)");
    CHECK(message_of([&] {
            loss.backward(ctx, a, b, feaug::vector_view<const float>(), options);
          }) == name + "_backward: cotangent: got 0 elements, wanted 1 (the elements of the loss)");
    CHECK(two[0] == 5);
  }
}

}  // namespace testing
