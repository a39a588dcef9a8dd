// masked_prediction against its formula and automatic differentiation; and at the edges.
#include "feaug/cpu/loss/masked_prediction.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "feaug/cpu/loss/negative_cosine.hpp"
#include "loss/reference.hpp"
#include "support/automatic_gradient.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace masked_prediction_test {

using feaug::accumulate;
using feaug::differentiable;
using feaug::drawn_mask;
using feaug::index_t;
using feaug::prediction_form;
using feaug::reduce;
using feaug::stop_gradient;
using testing::message_of;
using testing::test_matrix;

namespace {

double number(double x) { return x; }
double number(const testing::dual& x) { return x.value(); }

template <class S>
S row_loss(const std::vector<S>& p, const std::vector<S>& t, prediction_form form, double beta) {
  using std::sqrt;
  S loss = S(p[0] * 0.0);
  if (form == prediction_form::cosine) {
    return S(testing::dot(p, t) / sqrt(S(testing::dot(p, p) * testing::dot(t, t))) * -2.0 + 2.0);
  }
  for (std::size_t j = 0; j < p.size(); ++j) {
    const S d = number(p[j]) > number(t[j]) ? S(p[j] - t[j]) : S(t[j] - p[j]);
    if (form == prediction_form::squared) {
      loss += S(d * d);
    } else {
      loss += number(d) < beta ? S(d * d * (0.5 / beta)) : S(d - 0.5 * beta);
    }
  }
  return loss;
}

/// Row losses by the mask, and what a mean is over.
template <class S>
std::vector<S> formula(const testing::rows_of<S>& p, const testing::rows_of<S>& t,
                       const testing::rows_of<double>& keep, prediction_form form, double beta,
                       double& counted) {
  counted = 0;
  std::vector<S> losses;
  for (index_t i = 0; i < p.size(); ++i) {
    std::vector<S> of_p;
    std::vector<S> of_t;
    for (std::size_t j = 0; j < p[i].size(); ++j) {
      if (keep[i][j] != 0) continue;
      of_p.push_back(p[i][j]);
      of_t.push_back(t[i][j]);
    }
    const auto masked = static_cast<double>(of_p.size());
    counted += form == prediction_form::cosine ? std::min(masked, 1.0) : masked;
    losses.push_back(of_p.empty() ? S(p[i][0] * 0.0) : row_loss(of_p, of_t, form, beta));
  }
  return losses;
}

/// All three entries with `policy` against the formula under `keep`.
template <class T, class P>
void compare(const test_matrix<T>& keep, const P& policy, const feaug::random_key& key,
             prediction_form form, reduce reduction, double beta = 0.75) {
  using C = feaug::compute_t<T>;
  const index_t rows = keep.rows();
  const index_t cols = keep.cols();
  CAPTURE(rows, cols, static_cast<int>(form), static_cast<int>(reduction), beta);
  const auto p = test_matrix<T>::normal(rows, cols, 1, 2);
  const auto t = test_matrix<T>::normal(rows, cols, 2);
  const testing::rows_of<double> keeps(keep.values(), 0, rows, cols);
  std::vector<double> x = p.values();
  for (const double v : t.values()) x.push_back(v);
  double counted = 0;
  const auto losses_of = [&](const auto& in) {
    using S = std::decay_t<decltype(in[0])>;
    return formula(testing::rows_of<S>(in, 0, rows, cols),
                   testing::rows_of<S>(in, static_cast<std::size_t>(rows * cols), rows, cols),
                   keeps, form, beta, counted);
  };
  const auto row_losses = losses_of(x);
  const index_t outputs = reduction == reduce::none ? rows : 1;
  const double scale = 3;
  std::vector<C> row_weights;
  std::vector<C> cotangent;
  std::vector<double> weights;
  std::vector<double> gradient_weights;
  for (index_t i = 0; i < rows; ++i) {
    row_weights.push_back(static_cast<C>(0.5 * static_cast<double>(i % 4) + 0.25));
    if (i < outputs) cotangent.push_back(static_cast<C>(0.75 - 0.5 * static_cast<double>(i)));
    const double share = reduction == reduce::mean ? (counted > 0 ? 1 / counted : 0) : 1;
    weights.push_back(share * static_cast<double>(row_weights.back()));
    gradient_weights.push_back(weights.back() * scale *
                               static_cast<double>(outputs == 1 ? cotangent[0] : cotangent.back()));
  }
  const auto want = testing::automatic_gradient(
      [&](const std::vector<testing::dual>& in) {
        return testing::weighted(losses_of(in), gradient_weights);
      },
      x);
  const auto half = want.gradient.begin() + rows * cols;
  const std::vector<double> want_p(want.gradient.begin(), half);
  const std::vector<double> want_t(half, want.gradient.end());
  feaug::masked_prediction_options<T> options{.form = form,
                                              .beta = beta,
                                              .reduction = reduction,
                                              .gradient_scale = scale,
                                              .row_weights = {row_weights.data(), rows}};
  std::vector<C> first_loss;
  for (const int threads : {1, 2, 3}) {
    feaug::cpu_context ctx{.threads = threads};
    std::vector<C> loss(static_cast<std::size_t>(outputs));
    feaug::masked_prediction(ctx, p.view(), t.view(), policy, key, {loss.data(), outputs}, options);
    for (index_t i = 0; i < outputs; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const double wanted =
          outputs == 1 ? testing::weighted(row_losses, weights) : weights[at] * row_losses[at];
      CHECK(static_cast<double>(loss[at]) == Approx(wanted).epsilon(1e-5).margin(1e-5));
    }
    if (threads == 1) first_loss = loss;
    CHECK(loss == first_loss);
    test_matrix<T> d_p(rows, cols, 1);
    test_matrix<T> d_t(rows, cols);
    feaug::masked_prediction_backward(ctx, differentiable(p.view(), d_p.view()),
                                      differentiable(t.view(), d_t.view()), policy, key,
                                      {cotangent.data(), outputs}, options);
    CHECK(testing::relative_error(d_p.values(), want_p) < testing::tolerance<T>());
    CHECK(testing::relative_error(d_t.values(), want_t) < testing::tolerance<T>());
    CHECK(d_p.padding_intact());
    for (index_t i = 0; i < rows; ++i) {
      for (index_t j = 0; j < cols; ++j) {
        if (keep.get(i, j) != 0) CHECK((d_p.get(i, j) == 0 && d_t.get(i, j) == 0));
      }
    }
    // At once, one side stopped, the other added to.
    test_matrix<T> alone(rows, cols);
    auto sum = test_matrix<T>::normal(rows, cols, 7);
    std::vector<double> total = sum.values();
    feaug::masked_prediction_with_gradients(ctx, stop_gradient(p.view()),
                                            differentiable(t.view(), alone.view()), policy, key,
                                            {loss.data(), outputs}, options);
    CHECK(loss == first_loss);
    feaug::masked_prediction_with_gradients(ctx, stop_gradient(p.view()),
                                            accumulate(t.view(), sum.view()), policy, key,
                                            {loss.data(), outputs}, options);
    const auto added = alone.values();
    for (std::size_t k = 0; k < total.size(); ++k) total[k] += added[k];
    CHECK(testing::relative_error(sum.values(), total) < testing::tolerance<T>());
  }
}

/// Rows with features masked here and there, all of them, none.
template <class T>
test_matrix<T> some_keep(index_t rows, index_t cols) {
  test_matrix<T> keep = test_matrix<T>::normal(rows, cols, 9, 1);
  for (index_t i = 0; i < rows; ++i) {
    for (index_t j = 0; j < cols; ++j)
      keep.set(i, j, i % 4 == 1 || (i % 4 != 2 && keep.get(i, j) > 0) ? 1 : 0);
  }
  keep.set(0, 0, 0);
  return keep;
}

constexpr prediction_form forms[] = {prediction_form::smooth_l1, prediction_form::squared,
                                     prediction_form::cosine};

}  // namespace

TEMPLATE_TEST_CASE("masked_prediction and its gradients are the formula's", "[masked_prediction]",
                   double, float) {
  const auto shape = GENERATE(table<index_t, index_t>({{1, 1}, {5, 4}, {6, 1}, {3, 11}}));
  const reduce reduction = GENERATE(reduce::mean, reduce::sum, reduce::none);
  const auto keep = some_keep<TestType>(std::get<0>(shape), std::get<1>(shape));
  for (const prediction_form form : forms)
    compare(keep, drawn_mask(keep.view()), {}, form, reduction);
  compare(keep, drawn_mask(keep.view()), {}, prediction_form::smooth_l1, reduction, 0.0);
}

TEMPLATE_TEST_CASE("masked_prediction of 16-bit features", "[masked_prediction]", feaug::half,
                   feaug::bfloat16) {
  const auto keep = some_keep<TestType>(5, 6);
  for (const prediction_form form : forms)
    compare(keep, drawn_mask(keep.view()), {}, form, reduce::mean);
}

TEST_CASE("masked_prediction draws the mask that augment drew", "[masked_prediction]") {
  const feaug::random_key key{.seed = 5, .step = 2, .stream = 3, .row_offset = 7};
  feaug::cpu_context ctx{.threads = 2};
  const auto check = [&](const auto& policy) {
    test_matrix<double> keep(6, 7);
    feaug::draw(ctx, policy, key, keep.view());
    for (const prediction_form form : forms) compare(keep, policy, key, form, reduce::mean);
  };
  check(feaug::mask{.keep_probability = 0.4F, .rescale = feaug::rescale::row});
  check(feaug::fixed_count_mask{.keep_count = 3});
  check(feaug::block_mask{.block_length = 2});
  check(feaug::mask{.keep_probability = 1});  // nothing is masked
  check(feaug::mask{.keep_probability = 0});
}

TEST_CASE("masked_prediction of everything is negative_cosine's", "[masked_prediction]") {
  // 900 rows are several blocks.
  const auto p = test_matrix<float>::normal(900, 40, 1);
  const auto t = test_matrix<float>::normal(900, 40, 2);
  test_matrix<float> d_p(900, 40);
  test_matrix<float> want(900, 40);
  feaug::cpu_context ctx{.threads = 2};
  const float loss = feaug::masked_prediction_with_gradients(
      ctx, differentiable(p.view(), d_p.view()), stop_gradient(t.view()),
      feaug::mask{.keep_probability = 0}, {}, {.form = prediction_form::cosine});
  const float other = feaug::negative_cosine_with_gradients(
      ctx, differentiable(p.view(), want.view()), stop_gradient(t.view()));
  CHECK(static_cast<double>(loss) == Approx(static_cast<double>(other)).epsilon(1e-6));
  CHECK(testing::relative_error(d_p.values(), want.values(), 1e-8) < 1e-6);
}

TEST_CASE("masked_prediction at the edges", "[masked_prediction]") {
  const double not_a_number = std::numeric_limits<double>::quiet_NaN();
  feaug::cpu_context ctx{.threads = 1};
  auto p = test_matrix<float>::normal(4, 5, 1);
  auto t = test_matrix<float>::normal(4, 5, 2);
  auto keep = some_keep<float>(4, 5);  // row 1 keeps all, row 2 nothing
  test_matrix<float> d_p(4, 5);
  test_matrix<float> d_t(4, 5);
  std::vector<float> losses(4);
  const auto run = [&](prediction_form form) {
    feaug::masked_prediction_with_gradients(
        ctx, differentiable(p.view(), d_p.view()), differentiable(t.view(), d_t.view()),
        drawn_mask(keep.view()), {}, {losses.data(), 4}, {.form = form, .reduction = reduce::none});
  };
  SECTION("NaN where all is kept is not read, elsewhere it stays in its row") {
    p.set(1, 2, not_a_number);
    p.set(2, 1, not_a_number);
    for (const prediction_form form : forms) {
      run(form);
      CHECK((losses[1] == 0 && std::isnan(losses[2]) && std::isfinite(losses[0])));
      CHECK((d_p.get(1, 2) == 0 && std::isnan(d_p.get(2, 1)) && std::isfinite(d_p.get(3, 0))));
    }
  }
  SECTION("equal, zero and huge rows") {
    for (index_t j = 0; j < 5; ++j) {
      t.set(0, j, p.get(0, j));
      p.set(2, j, 0);
      p.set(3, j, 1e18);
    }
    for (const prediction_form form : forms) {
      run(form);
      CHECK(losses[0] == Approx(0).margin(1e-6));
      for (const double x : d_p.values()) CHECK(std::isfinite(x));
      for (const float loss : losses) CHECK(std::isfinite(loss));
      for (index_t j = 0; j < 5; ++j) {
        CHECK(std::abs(d_p.get(0, j)) < 1e-6);
        if (form == prediction_form::cosine) CHECK(d_p.get(2, j) == 0);
      }
    }
  }
  SECTION("nothing is masked: loss 0, gradients 0") {
    keep.fill(1);
    d_p.fill(5);
    for (const prediction_form form : forms) {
      const float loss = feaug::masked_prediction_with_gradients(
          ctx, differentiable(p.view(), d_p.view()), stop_gradient(t.view()),
          drawn_mask(keep.view()), {}, {.form = form});
      CHECK(loss == 0);
      CHECK(d_p.values() == std::vector<double>(20, 0));
    }
  }
  SECTION("equal elements have slope 0, as |d| has at 0") {
    t = p;
    for (const double beta : {0.0, 1.0}) {
      feaug::masked_prediction_with_gradients(
          ctx, differentiable(p.view(), d_p.view()), stop_gradient(t.view()),
          feaug::mask{.keep_probability = 0}, {}, {.beta = beta});
      CHECK(d_p.values() == std::vector<double>(20, 0));
    }
  }
}

TEST_CASE("what masked_prediction refuses", "[masked_prediction]") {
  feaug::cpu_context ctx{.threads = 1};
  const auto p = test_matrix<float>::normal(4, 3, 1);
  const auto t = test_matrix<float>::normal(4, 3, 2);
  const auto narrow = test_matrix<float>::normal(4, 2, 3);
  auto d_p = test_matrix<float>::normal(4, 3, 5);
  const auto before = d_p.values();
  const auto x = differentiable(p.view(), d_p.view());
  const auto y = stop_gradient(t.view());
  float loss = 5;
  const auto to = feaug::scalar(loss);
  const auto says = [&](const std::string& text, const auto& call) {
    CHECK(message_of(call) == text);
    CHECK(d_p.values() == before);
    CHECK(loss == 5);
  };
  says("masked_prediction: target: got shape (4, 2), wanted shape (4, 3) as prediction",
       [&] { feaug::masked_prediction(ctx, p.view(), narrow.view(), feaug::mask{}, {}, to); });
  says("masked_prediction_with_gradients: beta: got -1, wanted a finite number of at least 0", [&] {
    feaug::masked_prediction_with_gradients(ctx, x, y, feaug::mask{}, {}, to, {.beta = -1});
  });
  says("drawn_mask: keep: got shape (4, 2), wanted shape (4, 3) as x", [&] {
    feaug::masked_prediction(ctx, p.view(), t.view(), drawn_mask(narrow.view()), {}, to);
  });
  says("drawn_mask: gradient of x: got memory that overlaps keep, wanted memory of its own",
       [&] { feaug::masked_prediction_with_gradients(ctx, x, y, drawn_mask(d_p.view()), {}, to); });
  says("mask: keep_probability: got 2, wanted a number from 0 to 1", [&] {
    feaug::masked_prediction(ctx, p.view(), t.view(), feaug::mask{.keep_probability = 2}, {}, to);
  });
  says("masked_prediction: random_key.step: got 4294967296, wanted a number below 2^32", [&] {
    feaug::masked_prediction(ctx, p.view(), t.view(), feaug::mask{}, {.step = 1ULL << 32U}, to);
  });
  says("masked_prediction: reduction: got none, wanted mean or sum, or a view for a loss a row",
       [&] {
         feaug::masked_prediction(ctx, p.view(), t.view(), feaug::mask{}, {},
                                  {.reduction = reduce::none});
       });
  says("masked_prediction: loss: got 1 elements, wanted 4 (a loss a row)", [&] {
    feaug::masked_prediction(ctx, p.view(), t.view(), feaug::mask{}, {}, to,
                             {.reduction = reduce::none});
  });
  says(
      "masked_prediction_backward: cotangent: got no elements, wanted one, or one a row with "
      "reduce::none",
      [&] { feaug::masked_prediction_backward(ctx, x, y, feaug::mask{}, {}, {}); });
}

}  // namespace masked_prediction_test
