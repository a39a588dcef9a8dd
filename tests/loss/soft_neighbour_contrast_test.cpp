// soft_neighbour_contrast against its formula, automatic differentiation and central differences;
// and at the edges.
#include "feaug/cpu/loss/soft_neighbour_contrast.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "feaug/cpu/loss/info_nce.hpp"
#include "loss/reference.hpp"
#include "support/automatic_gradient.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace soft_neighbour_contrast_test {

using feaug::compute_t;
using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::reduce;
using feaug::stop_gradient;
using feaug::vector_view;
using testing::test_matrix;

namespace {

struct numbers {
  double temperature = 0.5;
  double label_temperature = 0.3;
  double neighbour_weight = 1.5;
  bool normalize = true;
};

/// Row losses, as the formula stands: every column's label in turn. `in` holds queries, then rows
/// of attention.
template <class S>
std::vector<S> formula(const std::vector<S>& in, const std::vector<double>& keys,
                       const std::vector<double>& neighbours, index_t cols, const numbers& how) {
  using std::exp;
  const auto rows = static_cast<index_t>(keys.size()) / cols;
  const index_t k = static_cast<index_t>(neighbours.size()) / cols / rows;
  std::vector<S> constants;  // with as many derivatives as the others have
  constants.reserve(keys.size() + neighbours.size());
  for (const double value : keys) constants.push_back(value + 0.0 * in[0]);
  for (const double value : neighbours) constants.push_back(value + 0.0 * in[0]);
  const testing::rows_of<S> queries(in, 0, rows, cols);
  const testing::rows_of<S> attention(in, static_cast<std::size_t>(rows * cols), rows, cols);
  const testing::rows_of<S> columns(constants, 0, rows * (k + 1), cols);
  std::vector<S> losses;
  for (index_t i = 0; i < rows; ++i) {
    std::vector<S> logits;
    for (index_t c = 0; c < columns.size(); ++c)
      logits.push_back(testing::cosine(queries[i], columns[c], how.normalize) *
                       (1 / how.temperature));
    const S log_sum = testing::log_sum_exp(logits);
    std::vector<S> looks;
    for (index_t rank = 0; rank < k; ++rank)
      looks.push_back(testing::cosine(attention[i], columns[rows + i * k + rank], how.normalize) *
                      (1 / how.label_temperature));
    const S looks_sum = testing::log_sum_exp(looks);
    S loss = log_sum - logits[static_cast<std::size_t>(i)];
    for (index_t rank = 0; rank < k; ++rank) {
      const S label = how.neighbour_weight * exp(looks[static_cast<std::size_t>(rank)] - looks_sum);
      loss += label * (log_sum - logits[static_cast<std::size_t>(rows + i * k + rank)]);
    }
    losses.push_back(loss);
  }
  return losses;
}

std::vector<double> joined(std::vector<double> first, const std::vector<double>& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

template <class T>
feaug::soft_neighbour_contrast_options<T> options_of(const numbers& how) {
  return {.temperature = how.temperature,
          .label_temperature = how.label_temperature,
          .neighbour_weight = how.neighbour_weight,
          .normalize = how.normalize};
}

}  // namespace

TEMPLATE_TEST_CASE("soft_neighbour_contrast and its gradients are the formula's",
                   "[soft_neighbour_contrast]", double, float, feaug::half, feaug::bfloat16) {
  using T = TestType;
  using C = compute_t<T>;
  struct shape {
    index_t rows, cols, k;
  };
  const shape at = GENERATE(shape{1, 1, 1}, shape{5, 7, 3}, shape{3, 2, 1}, shape{2, 5, 6});
  const reduce reduction = GENERATE(reduce::mean, reduce::sum, reduce::none);
  const numbers how = {.normalize = GENERATE(true, false)};
  CAPTURE(at.rows, at.cols, at.k, static_cast<int>(reduction), how.normalize);
  const auto q = test_matrix<T>::normal(at.rows, at.cols, 1, 3);
  const auto z = test_matrix<T>::normal(at.rows, at.cols, 4, 1);
  const auto keys = test_matrix<T>::normal(at.rows, at.cols, 2, 1);
  const auto neighbours = test_matrix<T>::normal(at.rows * at.k, at.cols, 3, 2);
  std::vector<double> weights(static_cast<std::size_t>(at.rows),
                              reduction == reduce::mean ? 1.0 / static_cast<double>(at.rows) : 1.0);
  std::vector<C> cotangent = {C{1}};
  if (reduction == reduce::none) {
    cotangent.clear();
    for (double& weight : weights) {
      cotangent.push_back(static_cast<C>(0.5 * static_cast<double>(cotangent.size()) - 0.75));
      weight = static_cast<double>(cotangent.back());
    }
  }
  const auto weighted = [&]<class S>(const std::vector<S>& in) {
    return testing::weighted(formula(in, keys.values(), neighbours.values(), at.cols, how),
                             weights);
  };
  const std::vector<double> x = joined(q.values(), z.values());
  const auto want = testing::automatic_gradient(
      [&](const std::vector<testing::dual>& in) { return weighted(in); }, x);
  if (std::is_same_v<T, double>) {
    const auto slopes = testing::central_differences(
        [&](const std::vector<double>& in) { return weighted(in); }, x);
    CHECK(testing::relative_error(want.gradient, slopes) < 1e-5);
  }
  const double allowed = testing::tolerance<T>();
  test_matrix<T> dq(at.rows, at.cols, 2);
  test_matrix<T> dz(at.rows, at.cols, 1);
  feaug::soft_neighbour_contrast_options<T> options = options_of<T>(how);
  options.reduction = reduction;
  options.attention = differentiable(z.view(), dz.view());
  const auto gradients = [&] {
    const std::vector<double> values = joined(dq.values(), dz.values());
    dq.fill(std::numeric_limits<double>::quiet_NaN());
    dz.fill(std::numeric_limits<double>::quiet_NaN());
    return values;
  };
  const index_t outputs = reduction == reduce::none ? at.rows : 1;
  std::vector<C> loss(static_cast<std::size_t>(outputs));
  const vector_view<C> loss_view(loss.data(), outputs);
  const vector_view<const C> cotangent_view(cotangent.data(), outputs);
  cpu_context ctx{.threads = 2};
  feaug::soft_neighbour_contrast(ctx, q.view(), keys.view(), neighbours.view(), loss_view, options);
  double total = 0;
  for (std::size_t i = 0; i < loss.size(); ++i)
    total += static_cast<double>(loss[i]) * (reduction == reduce::none ? weights[i] : 1.0);
  CHECK(total == Approx(want.value).epsilon(allowed).margin(allowed));
  feaug::soft_neighbour_contrast_backward(ctx, differentiable(q.view(), dq.view()), keys.view(),
                                          neighbours.view(), cotangent_view, options);
  CHECK((dq.padding_intact() && dz.padding_intact()));
  CHECK(testing::relative_error(gradients(), want.gradient, 1e-2) < allowed);
  // The attention alone: no contrast is needed.
  dq.fill(0.0);
  feaug::soft_neighbour_contrast_backward(ctx, stop_gradient(q.view()), keys.view(),
                                          neighbours.view(), cotangent_view, options);
  std::vector<double> half = want.gradient;
  std::fill_n(half.begin(), half.size() / 2, 0.0);
  CHECK(testing::relative_error(gradients(), half, 1e-2) < allowed);
  if (reduction == reduce::none) return;
  const C again = feaug::soft_neighbour_contrast_with_gradients(
      ctx, differentiable(q.view(), dq.view()), keys.view(), neighbours.view(), options);
  CHECK(again == loss[0]);
  CHECK(testing::relative_error(gradients(), want.gradient, 1e-2) < allowed);
}

TEST_CASE("soft_neighbour_contrast: queries that attend, threads, weights, accumulation",
          "[soft_neighbour_contrast]") {
  const index_t rows = 90;
  const auto q = test_matrix<float>::normal(rows, 19, 1);
  const auto keys = test_matrix<float>::normal(rows, 19, 2);
  const auto neighbours = test_matrix<float>::normal(rows * 4, 19, 3);
  std::vector<float> losses(static_cast<std::size_t>(rows));
  std::vector<float> weights;
  for (index_t i = 0; i < rows; ++i) weights.push_back(static_cast<float>(i % 5) - 1.5F);
  const numbers defaults = {.temperature = 0.1, .label_temperature = 1, .neighbour_weight = 1};
  const std::vector<double> want =
      formula(joined(q.values(), q.values()), keys.values(), neighbours.values(), 19, defaults);
  std::vector<double> first;
  for (int threads = 1; threads <= 3; ++threads) {
    cpu_context ctx{.threads = threads};
    test_matrix<float> dq(rows, 19);
    feaug::soft_neighbour_contrast_with_gradients(
        ctx, differentiable(q.view(), dq.view()), keys.view(), neighbours.view(),
        {losses.data(), rows}, {.reduction = reduce::none});
    CHECK(testing::relative_error({losses.begin(), losses.end()}, want) < 1e-5);
    std::vector<double> all = joined(dq.values(), {losses.begin(), losses.end()});
    if (first.empty()) first = all;
    CHECK(all == first);
  }
  // Detached: the slopes with the attention held fast.
  for (const std::size_t at : {std::size_t{0}, std::size_t{700}, std::size_t{1709}}) {
    const auto moved = [&](double by) {
      std::vector<double> x = joined(q.values(), q.values());
      x[at] += by;
      return formula(x, keys.values(), neighbours.values(), 19, defaults)[at / 19];
    };
    CHECK(first[at] == Approx((moved(1e-5) - moved(-1e-5)) / 2e-5).epsilon(1e-3).margin(1e-4));
  }
  cpu_context ctx{.threads = 2};
  test_matrix<float> dq(rows, 19);
  test_matrix<float> dz(rows, 19);
  test_matrix<float> twice(rows, 19);
  dq.fill(1.0);
  const auto run = [&](const feaug::operand<float>& x, const feaug::operand<float>& attention) {
    return feaug::soft_neighbour_contrast_with_gradients(
        ctx, x, keys.view(), neighbours.view(),
        {.attention = attention,
         .gradient_scale = static_cast<double>(rows),
         .row_weights = {weights.data(), rows}});
  };
  const float loss =
      run(feaug::accumulate(q.view(), dq.view()), differentiable(q.view(), dz.view()));
  CHECK(loss ==
        Approx(testing::weighted(want, {weights.begin(), weights.end()}) / rows).epsilon(1e-5));
  for (std::size_t e = 0; e < 1710; e += 37)
    CHECK(dq.values()[e] ==
          Approx(1.0 + static_cast<double>(weights[e / 19]) * first[e]).margin(1e-4));
  CHECK(run(stop_gradient(q.view()), feaug::accumulate(q.view(), twice.view())) == loss);
  CHECK(twice.values() == dz.values());
  run(stop_gradient(q.view()), feaug::accumulate(q.view(), twice.view()));
  for (std::size_t e = 0; e < 1710; e += 37)
    CHECK(twice.values()[e] == Approx(2 * dz.values()[e]).margin(1e-6));
}

TEST_CASE("soft_neighbour_contrast at the edges", "[soft_neighbour_contrast]") {
  cpu_context ctx{.threads = 1};
  auto q = test_matrix<float>::normal(4, 3, 1);
  auto keys = test_matrix<float>::normal(4, 3, 2);
  auto neighbours = test_matrix<float>::normal(8, 3, 3);
  test_matrix<float> dq(4, 3);
  std::vector<float> losses(4);
  feaug::soft_neighbour_contrast_options<float> options = {.reduction = reduce::none};
  const auto run = [&] {
    feaug::soft_neighbour_contrast_with_gradients(ctx, differentiable(q.view(), dq.view()),
                                                  keys.view(), neighbours.view(),
                                                  {losses.data(), 4}, options);
  };
  SECTION("neighbours of weight 0 are negatives: info_nce") {
    options.neighbour_weight = 0;
    run();
    std::vector<float> want(4);
    test_matrix<float> want_dq(4, 3);
    feaug::info_nce_with_gradients(
        ctx, differentiable(q.view(), want_dq.view()), stop_gradient(keys.view()), {want.data(), 4},
        {.reduction = reduce::none, .negatives = stop_gradient(neighbours.view())});
    CHECK(testing::relative_error({losses.begin(), losses.end()}, {want.begin(), want.end()}) <
          1e-5);
    CHECK(testing::relative_error(dq.values(), want_dq.values()) < 1e-4);
  }
  SECTION("zero, tiny and huge rows, a cold soft-max") {
    q.fill_row(0, 0.0);
    q.fill_row(1, 1e-30);
    q.fill_row(2, -1e18);
    keys.fill_row(3, 0.0);
    neighbours.fill_row(5, 1e18);
    options.temperature = 1e-3;
    run();
    for (const float loss : losses) CHECK(std::isfinite(loss));
    for (const double v : dq.values()) CHECK(std::isfinite(v));
    for (index_t j = 0; j < 3; ++j) CHECK((dq.get(0, j) == 0.0 && dq.get(1, j) == 0.0));
    CHECK(losses[0] == Approx(2 * std::log(12.0)).epsilon(1e-5));
  }
  SECTION("NaN and infinity reach the rows that read them") {
    const double bad =
        GENERATE(std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity());
    auto z = test_matrix<float>::normal(4, 3, 4);
    options.attention = stop_gradient(z.view());
    q.set(1, 0, bad);
    z.set(2, 1, bad);
    run();
    for (index_t i = 0; i < 4; ++i) {
      CHECK(std::isnan(losses[static_cast<std::size_t>(i)]) == (i == 1 || i == 2));
      for (index_t j = 0; j < 3; ++j) CHECK(std::isnan(dq.get(i, j)) == (i == 1 || i == 2));
    }
    neighbours.set(7, 2, bad);
    run();
    for (const float loss : losses) CHECK(std::isnan(loss));
  }
}

TEST_CASE("soft_neighbour_contrast names what is wrong, before it writes",
          "[soft_neighbour_contrast]") {
  cpu_context ctx{.threads = 1};
  const auto q = test_matrix<float>::normal(4, 3, 1);
  const auto k = test_matrix<float>::normal(4, 3, 2);
  const auto n = test_matrix<float>::normal(8, 3, 3);
  test_matrix<float> dq(4, 3);
  dq.fill(5.0);
  std::vector<float> loss(4, 5.0F);
  std::vector<float> ones(4, 1.0F);
  feaug::operand<float> x = differentiable(q.view(), dq.view());
  feaug::matrix_view<const float> keys = k.view();
  feaug::matrix_view<const float> neighbours = n.view();
  vector_view<float> loss_view(loss.data(), 1);
  vector_view<const float> cotangent(ones.data(), 1);
  feaug::soft_neighbour_contrast_options<float> options;
  const std::string op = "soft_neighbour_contrast";
  const auto forward = [&] {
    return testing::message_of([&] {
      feaug::soft_neighbour_contrast(ctx, x.value, keys, neighbours, loss_view, options);
    });
  };
  const auto backward = [&] {
    return testing::message_of([&] {
      feaug::soft_neighbour_contrast_backward(ctx, x, keys, neighbours, cotangent, options);
    });
  };
  const auto at_once = [&] {
    return testing::message_of([&] {
      feaug::soft_neighbour_contrast_with_gradients(ctx, x, keys, neighbours, loss_view, options);
    });
  };
  const auto check_all = [&](const std::string& wanted) {
    CHECK(forward() == op + ": " + wanted);
    CHECK(backward() == op + "_backward: " + wanted);
    CHECK(at_once() == op + "_with_gradients: " + wanted);
  };
  SECTION("queries, keys and neighbours") {
    x.value.data = nullptr;
    check_all("queries: got a null pointer with shape (4, 3), wanted a pointer to its elements");
    x = stop_gradient(feaug::matrix_view<const float>(q.view().data, 0, 3));
    check_all("queries: got shape (0, 3), wanted at least one row and one column");
    x = differentiable(q.view(), dq.view());
    keys = k.view().rows_from(0, 3);
    check_all("keys: got shape (3, 3), wanted shape (4, 3) as queries");
    keys = k.view();
    neighbours = n.view().rows_from(0, 7);
    check_all("neighbours: got 7 rows, wanted as many for each of the 4 queries, one at least");
    neighbours = n.view().rows_from(0, 0);
    check_all("neighbours: got 0 rows, wanted as many for each of the 4 queries, one at least");
    neighbours = feaug::matrix_view<const float>(n.view().data, 8, 2, 3);
    check_all("neighbours: got 2 columns, wanted 3 as queries");
    neighbours = dq.view();
    CHECK(backward() == op + "_backward: gradient of queries: got memory that overlaps neighbours, "
                             "wanted memory of its own");
  }
  SECTION("attention") {
    options.attention = stop_gradient(q.view().rows_from(0, 3));
    check_all("attention: got shape (3, 3), wanted shape (4, 3) as queries");
    options.attention = differentiable(k.view(), dq.view());
    CHECK(at_once() == op + "_with_gradients: gradient of queries: got memory that overlaps "
                            "gradient of attention, wanted memory of its own");
  }
  SECTION("numbers, loss, cotangent") {
    options.temperature = 0;
    check_all("temperature: got 0, wanted a finite number above 0");
    options.temperature = 0.1;
    options.label_temperature = -1;
    check_all("label_temperature: got -1, wanted a finite number above 0");
    options.label_temperature = 1;
    options.neighbour_weight = -0.5;
    check_all("neighbour_weight: got -0.5, wanted at least 0");
    options.neighbour_weight = 1;
    options.gradient_scale = std::numeric_limits<double>::infinity();
    check_all("gradient_scale: got inf, wanted a finite number");
    options.gradient_scale = 1;
    options.row_weights = {ones.data(), 3};
    check_all("row_weights: got 3 elements, wanted 4 (one a row of the loss)");
    options.row_weights = {};
    loss_view = {loss.data(), 2};
    CHECK(forward() == op + ": loss: got 2 elements, wanted 1 (the reduced loss)");
    CHECK(at_once() == op + "_with_gradients: loss: got 2 elements, wanted 1 (the reduced loss)");
    cotangent = {};
    CHECK(backward() == op + "_backward: cotangent: got no elements, wanted one, or one a row with "
                             "reduce::none");
    const std::string wanted =
        "reduction: got none, wanted mean or sum, or a view for a loss a row";
    options.reduction = reduce::none;
    CHECK(testing::message_of([&] {
            feaug::soft_neighbour_contrast(ctx, x.value, keys, neighbours, options);
          }) == op + ": " + wanted);
    CHECK(testing::message_of([&] {
            feaug::soft_neighbour_contrast_with_gradients(ctx, x, keys, neighbours, options);
          }) == op + "_with_gradients: " + wanted);
  }
  CHECK(dq.values() == std::vector<double>(12, 5.0));
  CHECK(loss == std::vector<float>(4, 5.0F));
}

}  // namespace soft_neighbour_contrast_test
