// The single-pass route that keeps the logits (loss and gradients from one product), compared with
// the route of two passes that stores statistics.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "feaug/cpu/loss/cached_softmax_pass.hpp"
#include "feaug/cpu/loss/info_nce.hpp"
#include "support/instruction_sets.hpp"
#include "support/test_matrix.hpp"

namespace cached_softmax_test {

using feaug::compute_t;
using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::info_nce_options;
using feaug::scalar;
using testing::test_matrix;

namespace {

struct shape {
  index_t rows, keys, negatives, cols;
  index_t offset = 0;
};

/// Fewer rows than a block, and more than one block; in most shapes the last chunk of columns is
/// partial.
constexpr shape shapes[] = {
    {5, 1024, 0, 3, 17}, {300, 1100, 77, 130, 1}, {1, 60, 1000, 40}, {1025, 1025, 0, 24}};

template <class T>
struct batch {
  using C = compute_t<T>;
  test_matrix<T> queries, keys, negatives, d_queries, d_keys, d_negatives;
  C temperature = C(0.2F);
  C d_temperature = 0;
  C loss = 0;
  std::vector<C> row_weights;
  index_t offset;

  explicit batch(const shape& at)
      : queries(test_matrix<T>::normal(at.rows, at.cols, 1, 3)),
        keys(test_matrix<T>::normal(at.keys, at.cols, 2, 1)),
        negatives(test_matrix<T>::normal(at.negatives, at.cols, 3, 2)),
        d_queries(at.rows, at.cols, 2),
        d_keys(at.keys, at.cols, 3),
        d_negatives(at.negatives, at.cols, 1),
        offset(at.offset) {
    for (index_t i = 0; i < at.rows; ++i)
      row_weights.push_back(static_cast<C>(0.5 + 0.25 * static_cast<double>(i % 3)));
  }

  info_nce_options<T> options() {
    return {.positive_offset = offset,
            .negatives = differentiable(negatives.view(), d_negatives.view()),
            .learnable_temperature = differentiable(scalar(temperature), scalar(d_temperature)),
            .gradient_scale = 3,
            .row_weights = {row_weights.data(), static_cast<index_t>(row_weights.size())}};
  }
  void in_one_pass(cpu_context& ctx) {
    feaug::info_nce_with_gradients(ctx, differentiable(queries.view(), d_queries.view()),
                                   differentiable(keys.view(), d_keys.view()), scalar(loss),
                                   options());
  }
  void in_two_passes(cpu_context& ctx) {
    std::vector<C> statistics(row_weights.size());
    feaug::info_nce(ctx, queries.view(), keys.view(), scalar(loss), options(),
                    {statistics.data(), static_cast<index_t>(statistics.size())});
    const C one = 1;
    feaug::info_nce_backward(ctx, differentiable(queries.view(), d_queries.view()),
                             differentiable(keys.view(), d_keys.view()),
                             {statistics.data(), static_cast<index_t>(statistics.size())},
                             {&one, 1}, options());
  }
  [[nodiscard]] std::vector<double> results() const {
    std::vector<double> all = {static_cast<double>(loss), static_cast<double>(d_temperature)};
    for (const test_matrix<T>* gradient : {&d_queries, &d_keys, &d_negatives}) {
      CHECK(gradient->padding_intact());
      for (const double x : gradient->values()) all.push_back(x);
    }
    return all;
  }
  /// True if the single-pass route accepts this batch.
  [[nodiscard]] bool is_kept(cpu_context& ctx) const {
    feaug::workspace::scope scratch(ctx.workspace);
    const auto rows = feaug::cpu::concatenate_rows<T>(ctx, scratch, true, queries.view());
    const auto columns =
        feaug::cpu::concatenate_rows<T>(ctx, scratch, true, keys.view(), negatives.view());
    return feaug::cpu::can_keep_logits<C>(ctx, {.rows = rows,
                                                .columns = columns,
                                                .positives = columns,
                                                .cols = queries.cols(),
                                                .scale = 1.0 / static_cast<double>(temperature)});
  }
};

void check_each(const std::vector<double>& got, const std::vector<double>& want, double tolerance) {
  CHECK(got[0] == Approx(want[0]).epsilon(tolerance));
  CHECK(got[1] == Approx(want[1]).epsilon(10 * tolerance));
  CHECK(testing::relative_error(got, want) < tolerance);
}

}  // namespace

TEMPLATE_TEST_CASE("kept logits give the same loss and gradients as two passes", "[info_nce]",
                   double, float, feaug::bfloat16) {
  for (const shape& at : shapes) {
    CAPTURE(at.rows, at.keys, at.negatives, at.cols);
    cpu_context alone{.threads = 1};
    batch<TestType> want(at);
    REQUIRE(want.is_kept(alone));
    want.in_two_passes(alone);
    testing::for_each_instruction_set([&](feaug::instruction_set set) {
      std::vector<double> first;
      for (const int threads : {1, 3}) {
        cpu_context ctx{.threads = threads, .instructions = set};
        batch<TestType> got(at);
        got.in_one_pass(ctx);
        check_each(got.results(), want.results(), testing::tolerance<TestType>());
        if (threads == 1) first = got.results();
        CHECK(got.results() == first);
      }
    });
  }
}

TEST_CASE("kept logits: accumulated and stopped gradients", "[info_nce]") {
  cpu_context ctx{.threads = 2};
  const shape at = {70, 1030, 0, 9};
  batch<double> want(at);
  want.in_two_passes(ctx);
  batch<double> keys_alone(at);
  feaug::info_nce_with_gradients(ctx, feaug::stop_gradient(keys_alone.queries.view()),
                                 differentiable(keys_alone.keys.view(), keys_alone.d_keys.view()),
                                 scalar(keys_alone.loss), keys_alone.options());
  CHECK(testing::relative_error(keys_alone.d_keys.values(), want.d_keys.values()) < 1e-12);
  CHECK(keys_alone.d_temperature == Approx(want.d_temperature).epsilon(1e-12));
  batch<double> sums(at);
  sums.d_queries.fill(2.0);
  sums.d_keys.fill(-3.0);
  feaug::info_nce_with_gradients(ctx, feaug::accumulate(sums.queries.view(), sums.d_queries.view()),
                                 feaug::accumulate(sums.keys.view(), sums.d_keys.view()),
                                 scalar(sums.loss), sums.options());
  for (index_t j = 0; j < at.cols; ++j) {
    CHECK(sums.d_queries.get(69, j) == Approx(2.0 + want.d_queries.get(69, j)).epsilon(1e-12));
    CHECK(sums.d_keys.get(1029, j) == Approx(-3.0 + want.d_keys.get(1029, j)).epsilon(1e-12));
  }
}

TEST_CASE("kept logits: a zero row has no gradient, NaN affects only rows that read it",
          "[info_nce]") {
  cpu_context ctx{.threads = 2};
  const shape at = {40, 1040, 0, 8};
  batch<float> zero(at);
  zero.queries.fill_row(7, 0);
  zero.keys.fill_row(1039, 0);
  zero.in_one_pass(ctx);
  CHECK(std::isfinite(zero.loss));
  for (index_t j = 0; j < at.cols; ++j) {
    CHECK(zero.d_queries.get(7, j) == 0.0);
    CHECK(zero.d_keys.get(1039, j) == 0.0);
  }
  batch<float> spoilt(at);
  spoilt.queries.set(7, 0, std::numeric_limits<double>::quiet_NaN());
  spoilt.in_one_pass(ctx);
  CHECK(std::isnan(spoilt.loss));
  CHECK(std::isnan(spoilt.d_queries.get(7, 1)));
  CHECK(std::isfinite(spoilt.d_queries.get(8, 1)));
  CHECK(std::isnan(spoilt.d_keys.get(900, 1)));
}

}  // namespace cached_softmax_test
