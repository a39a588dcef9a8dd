// masked_prediction: formula, masks, edge cases.
#include "feaug/cpu/loss/masked_prediction.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "feaug/cpu/loss/negative_cosine.hpp"
#include "loss/formula.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace masked_prediction_test {

using feaug::differentiable;
using feaug::index_t;
using feaug::mask_from;
using feaug::prediction_form;
using feaug::reduce;
using feaug::stop_gradient;
using testing::message_of;
using testing::test_matrix;

namespace {

/// The loss of one row over its masked features.
template <class S>
S row_loss(const testing::formula_inputs<S>& in, const std::vector<S>& p, const std::vector<S>& t) {
  const auto form = in.option("form", std::string("smooth_l1"));
  const double beta = in.option("beta", 1.0);
  if (form == "cosine") return S(testing::cosine(p, t) * -2.0 + 2.0);
  S loss = p[0] * 0.0;
  for (std::size_t j = 0; j < p.size(); ++j) {
    const S difference = p[j] - t[j];
    const S d = testing::value_of(difference) > 0 ? difference : S(difference * -1.0);
    if (form == "squared" || testing::value_of(d) < beta) {
      loss += d * d * (form == "squared" ? 1.0 : 0.5 / beta);
    } else {
      loss += d - 0.5 * beta;
    }
  }
  return loss;
}

const testing::registered_formula formula(
    "masked_prediction", {"prediction", "target"},
    []<class S>(const testing::formula_inputs<S>& in) {
      const auto prediction = in.matrix("prediction");
      const auto target = in.matrix("target");
      const auto keep = in.constant("keep");
      std::vector<S> losses;
      for (index_t i = 0; i < keep.size(); ++i) {
        std::vector<S> p;
        std::vector<S> t;
        for (std::size_t j = 0; j < keep[i].size(); ++j) {
          if (keep[i][j] != 0) continue;
          p.push_back(prediction[i][j]);
          t.push_back(target[i][j]);
        }
        losses.push_back(p.empty() ? in.number("nothing", 0) : row_loss(in, p, t));
      }
      return losses;
    },
    // The mean is over masked features; for cosines, over rows with masked features.
    [](const testing::formula_inputs<double>& in) {
      const bool of_rows = in.option("form", std::string("smooth_l1")) == "cosine";
      double counted = 0;
      for (const std::vector<double>& row : in.constant("keep").row) {
        const auto masked = static_cast<double>(std::count(row.begin(), row.end(), 0.0));
        counted += of_rows ? std::min(masked, 1.0) : masked;
      }
      return counted;
    });

/// Rows with some, all and no features masked.
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

TEST_CASE("masked_prediction draws the same mask as augment", "[masked_prediction]") {
  const feaug::random_key key{.seed = 5, .step = 2, .stream = 3, .row_offset = 7};
  feaug::cpu_context ctx{.threads = 2};
  const auto p = test_matrix<double>::normal(6, 7, 1, 2);
  const auto t = test_matrix<double>::normal(6, 7, 2);
  const auto check = [&](const auto& policy) {
    test_matrix<double> keep(6, 7);
    feaug::draw(ctx, policy, key, keep.view());
    for (const prediction_form form : forms) {
      // Loss, and gradients by both functions.
      const auto run = [&](const auto& mask) {
        test_matrix<double> d_p(6, 7);
        test_matrix<double> d_t(6, 7);
        const double one = 1;
        std::vector<double> all = {
            feaug::masked_prediction(ctx, p.view(), t.view(), mask, key, {.form = form})};
        feaug::masked_prediction_backward(ctx, differentiable(p.view(), d_p.view()),
                                          stop_gradient(t.view()), mask, key, {&one, 1},
                                          {.form = form});
        all.push_back(feaug::masked_prediction_with_gradients(ctx, stop_gradient(p.view()),
                                                              differentiable(t.view(), d_t.view()),
                                                              mask, key, {.form = form}));
        for (const double v : d_p.values()) all.push_back(v);
        for (const double v : d_t.values()) all.push_back(v);
        return all;
      };
      CHECK(run(policy) == run(mask_from(keep.view())));
    }
  };
  check(feaug::mask{.keep_probability = 0.4F, .rescale = feaug::rescale::row});
  check(feaug::fixed_count_mask{.keep_count = 3});
  check(feaug::block_mask{.block_length = 2});
  check(feaug::mask{.keep_probability = 1});  // nothing is masked
  check(feaug::mask{.keep_probability = 0});
}

TEST_CASE("masked_prediction with every feature masked equals negative_cosine",
          "[masked_prediction]") {
  // 900 rows fill several blocks.
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

TEST_CASE("masked_prediction: edge cases", "[masked_prediction]") {
  const double not_a_number = std::numeric_limits<double>::quiet_NaN();
  feaug::cpu_context ctx{.threads = 1};
  auto p = test_matrix<float>::normal(4, 5, 1);
  auto t = test_matrix<float>::normal(4, 5, 2);
  auto keep = some_keep<float>(4, 5);  // row 1 keeps all features, row 2 none
  test_matrix<float> d_p(4, 5);
  test_matrix<float> d_t(4, 5);
  std::vector<float> losses(4);
  const auto run = [&](prediction_form form) {
    feaug::masked_prediction_with_gradients(
        ctx, differentiable(p.view(), d_p.view()), differentiable(t.view(), d_t.view()),
        mask_from(keep.view()), {}, {losses.data(), 4}, {.form = form, .reduction = reduce::none});
  };
  SECTION("NaN is ignored in a row without masked features, and affects only its row otherwise") {
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
  SECTION("no masked features: loss 0, gradients 0") {
    keep.fill(1);
    d_p.fill(5);
    for (const prediction_form form : forms) {
      const float loss = feaug::masked_prediction_with_gradients(
          ctx, differentiable(p.view(), d_p.view()), stop_gradient(t.view()),
          mask_from(keep.view()), {}, {.form = form});
      CHECK(loss == 0);
      CHECK(d_p.values() == std::vector<double>(20, 0));
    }
  }
  SECTION("equal elements have gradient 0") {
    t = p;
    for (const double beta : {0.0, 1.0}) {
      feaug::masked_prediction_with_gradients(
          ctx, differentiable(p.view(), d_p.view()), stop_gradient(t.view()),
          feaug::mask{.keep_probability = 0}, {}, {.beta = beta});
      CHECK(d_p.values() == std::vector<double>(20, 0));
    }
  }
}

TEST_CASE("masked_prediction rejects invalid masks and keys", "[masked_prediction]") {
  feaug::cpu_context ctx{.threads = 1};
  const auto p = test_matrix<float>::normal(4, 3, 1);
  float loss = 5;
  const auto says = [&](const feaug::mask& mask, const feaug::random_key& key) {
    return message_of(
        [&] { feaug::masked_prediction(ctx, p.view(), p.view(), mask, key, feaug::scalar(loss)); });
  };
  CHECK(says({.keep_probability = 2}, {}) ==
        "mask: keep_probability: got 2, wanted a number from 0 to 1");
  CHECK(says({}, {.step = 1ULL << 32U}) ==
        "masked_prediction: random_key.step: got 4294967296, wanted a number below 2^32");
  CHECK(loss == 5);
}

}  // namespace masked_prediction_test
