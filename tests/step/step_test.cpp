// step: gradients compared with finite differences, micro-batches with the whole batch, draws, and
// bad arguments. The losses of the architectures are tested with the case file step.json.
#include "feaug/cpu/step/step.hpp"

#include <catch2/catch.hpp>
#include <limits>
#include <vector>

#include "feaug/augment/compose.hpp"
#include "feaug/cpu/augment/elementwise.hpp"
#include "feaug/cpu/augment/mask.hpp"
#include "feaug/cpu/augment/mix.hpp"
#include "feaug/cpu/augment/noise.hpp"
#include "support/automatic_gradient.hpp"
#include "support/test_matrix.hpp"

namespace step_test {

using feaug::accumulate;
using feaug::architecture;
using feaug::differentiable;
using feaug::index_t;
using feaug::matrix_view;
using feaug::paradigm;
using feaug::stop_gradient;
using testing::test_matrix;

namespace {

/// h(x) = tanh(factor · x), elementwise. `factor` is learned. Counts calls of forward.
struct bent_predictor {
  double factor = 2.0;
  double factor_gradient = 0;
  int forwards = 0;

  void forward(matrix_view<const double> input, matrix_view<double> output) {
    ++forwards;
    for (index_t i = 0; i < input.rows(); ++i) {
      for (index_t j = 0; j < input.cols(); ++j) output(i, j) = std::tanh(factor * input(i, j));
    }
  }
  void backward(matrix_view<const double> input, matrix_view<const double> output_gradient,
                matrix_view<double> input_gradient) {
    for (index_t i = 0; i < input.rows(); ++i) {
      for (index_t j = 0; j < input.cols(); ++j) {
        const double t = std::tanh(factor * input(i, j));
        const double g = output_gradient(i, j) * (1 - t * t);
        factor_gradient += g * input(i, j);
        input_gradient(i, j) = g * factor;
      }
    }
  }
};

constexpr index_t rows = 6;
constexpr index_t cols = 5;

struct views {
  test_matrix<double> z1 = test_matrix<double>::normal(rows, cols, 1, 1);
  test_matrix<double> z2 = test_matrix<double>::normal(rows, cols, 2);
  test_matrix<double> d1{rows, cols};
  test_matrix<double> d2{rows, cols, 3};
};

}  // namespace

TEST_CASE("a step's gradients match finite differences of its loss", "[step]") {
  const auto where = GENERATE(architecture::basic, architecture::pre_predictor,
                              architecture::post_predictor, architecture::parallel_predictor);
  const auto how = GENERATE(paradigm::similarity, paradigm::discrimination);
  const auto loss_of = GENERATE(feaug::contrast::target_rows, feaug::contrast::prediction_rows,
                                feaug::contrast::both_views);
  const bool symmetric = GENERATE(true, false);
  CAPTURE(static_cast<int>(where), static_cast<int>(how), static_cast<int>(loss_of), symmetric);
  views v;
  const feaug::step_options<double> options{.architecture = where,
                                            .paradigm = how,
                                            .contrast = loss_of,
                                            .temperature = 0.3,
                                            .samples = 2,
                                            .symmetric = symmetric};
  // With flowing targets, the gradients must be the full derivatives of the loss, including the
  // parts through the mask and the partner rows.
  const auto augmentation =
      feaug::compose(feaug::mask{.keep_probability = 0.7F}, feaug::interpolate{.weight = 0.75F});
  feaug::cpu_context ctx{.threads = 2};
  const auto loss_at = [&](const std::vector<double>& x, double factor) {
    views at;
    for (index_t i = 0; i < rows; ++i) {
      for (index_t j = 0; j < cols; ++j) {
        at.z1.set(i, j, x[static_cast<std::size_t>(i * cols + j)]);
        at.z2.set(i, j, x[static_cast<std::size_t>((rows + i) * cols + j)]);
      }
    }
    bent_predictor h{.factor = factor};
    return feaug::step(ctx, options, stop_gradient(at.z1.view()), stop_gradient(at.z2.view()), h,
                       augmentation, {.seed = 9});
  };
  std::vector<double> x = v.z1.values();
  for (double value : v.z2.values()) x.push_back(value);
  bent_predictor h;
  const double loss = feaug::step(ctx, options, differentiable(v.z1.view(), v.d1.view()),
                                  differentiable(v.z2.view(), v.d2.view()), h, augmentation,
                                  {.seed = 9}, feaug::target_gradient::flowing);
  CHECK(loss == Approx(loss_at(x, 2.0)).epsilon(1e-13));
  std::vector<double> got = v.d1.values();
  for (double g : v.d2.values()) got.push_back(g);
  const auto slopes = testing::central_differences(
      [&](const std::vector<double>& at) { return loss_at(at, 2.0); }, x);
  CHECK(testing::relative_error(got, slopes) < 1e-6);
  const double slope = (loss_at(x, 2.0 + 1e-5) - loss_at(x, 2.0 - 1e-5)) / 2e-5;
  CHECK(h.factor_gradient == Approx(slope).epsilon(1e-5).margin(1e-9));
}

TEST_CASE("micro-batches of a similarity step add up to the whole batch", "[step]") {
  const auto where = GENERATE(architecture::pre_predictor, architecture::post_predictor,
                              architecture::parallel_predictor);
  views v;
  feaug::step_options<double> options{
      .architecture = where, .paradigm = paradigm::similarity, .samples = 3};
  const auto augmentation = feaug::compose(feaug::mask{}, feaug::gaussian_noise{.scale = 0.1F});
  feaug::cpu_context ctx{.threads = 1};
  bent_predictor h;
  const double whole = feaug::step(ctx, options, differentiable(v.z1.view(), v.d1.view()),
                                   differentiable(v.z2.view(), v.d2.view()), h, augmentation,
                                   {.seed = 4, .step = 7});
  views parts;
  bent_predictor of_parts;
  double sum = 0;
  // Parts of unequal size: 4 rows, then 2.
  for (const auto& [begin, count] : {std::pair<index_t, index_t>{0, 4}, {4, 2}}) {
    options.share = static_cast<double>(count) / static_cast<double>(rows);
    sum += feaug::step(ctx, options,
                       differentiable(v.z1.view().rows_from(begin, count),
                                      parts.d1.view().rows_from(begin, count)),
                       differentiable(v.z2.view().rows_from(begin, count),
                                      parts.d2.view().rows_from(begin, count)),
                       of_parts, augmentation, {.seed = 4, .step = 7, .row_offset = begin});
  }
  CHECK(sum == Approx(whole).epsilon(1e-13));
  CHECK(testing::relative_error(parts.d1.values(), v.d1.values()) < 1e-12);
  CHECK(testing::relative_error(parts.d2.values(), v.d2.values()) < 1e-12);
  CHECK(of_parts.factor_gradient == Approx(h.factor_gradient).epsilon(1e-12));
}

TEST_CASE(
    "without in-batch negatives, micro-batches of a discrimination step add up to the whole batch",
    "[step]") {
  views v;
  const auto negatives = test_matrix<double>::normal(11, cols, 5);
  feaug::step_options<double> options{.contrast = feaug::contrast::prediction_rows,
                                      .negatives = stop_gradient(negatives.view()),
                                      .in_batch_negatives = false};
  feaug::cpu_context ctx{.threads = 1};
  bent_predictor h;
  const double whole = feaug::step(ctx, options, differentiable(v.z1.view(), v.d1.view()),
                                   differentiable(v.z2.view(), v.d2.view()), h, feaug::mask{}, {});
  views parts;
  options.share = 0.5;
  double sum = 0;
  for (index_t begin = 0; begin < rows; begin += 3) {
    sum += feaug::step(
        ctx, options,
        differentiable(v.z1.view().rows_from(begin, 3), parts.d1.view().rows_from(begin, 3)),
        differentiable(v.z2.view().rows_from(begin, 3), parts.d2.view().rows_from(begin, 3)), h,
        feaug::mask{}, {.row_offset = begin});
  }
  CHECK(sum == Approx(whole).epsilon(1e-13));
  CHECK(testing::relative_error(parts.d1.values(), v.d1.values()) < 1e-12);

  // With in-batch negatives the loss differs, because a micro-batch has fewer negatives.
  options = {.share = 1.0};
  const double in_batch = feaug::step(ctx, options, stop_gradient(v.z1.view()),
                                      stop_gradient(v.z2.view()), h, feaug::mask{}, {});
  options.share = 0.5;
  const double half = feaug::step(ctx, options, stop_gradient(v.z1.view().rows_from(0, 3)),
                                  stop_gradient(v.z2.view().rows_from(0, 3)), h, feaug::mask{}, {});
  CHECK(2 * half < in_batch);
}

TEST_CASE("two calls of step_direction equal the symmetric step", "[step]") {
  views v;
  feaug::step_options<double> options{.samples = 2};
  feaug::cpu_context ctx{.threads = 1};
  bent_predictor h;
  const double both =
      feaug::step(ctx, options, differentiable(v.z1.view(), v.d1.view()),
                  differentiable(v.z2.view(), v.d2.view()), h, feaug::mask{}, {.seed = 3});
  views hand;
  hand.d1.fill(1.0);
  options.share = 0.5;
  const double there =
      feaug::step_direction(ctx, options, accumulate(v.z1.view(), hand.d1.view()),
                            stop_gradient(v.z2.view()), h, feaug::mask{}, {.seed = 3}, 0);
  const double back =
      feaug::step_direction(ctx, options, differentiable(v.z2.view(), hand.d2.view()),
                            stop_gradient(v.z1.view()), h, feaug::mask{}, {.seed = 3}, 1);
  CHECK(there + back == Approx(both).epsilon(1e-14));
  CHECK(testing::relative_error(hand.d2.values(), v.d2.values()) < 1e-13);
  for (index_t i = 0; i < rows; ++i) {
    for (index_t j = 0; j < cols; ++j)
      CHECK(hand.d1.get(i, j) == Approx(1.0 + v.d1.get(i, j)).epsilon(1e-12));
  }
}

TEST_CASE("the sum over samples is K times the mean; every sample and direction has its own draws",
          "[step]") {
  views v;
  feaug::cpu_context ctx{.threads = 1};
  bent_predictor h;
  const auto loss = [&](int samples, feaug::sample_reduce reduction, const auto& augmentation) {
    return feaug::step(ctx, {.samples = samples, .sample_reduction = reduction},
                       stop_gradient(v.z1.view()), stop_gradient(v.z2.view()), h, augmentation,
                       {.seed = 3});
  };
  using feaug::sample_reduce;
  CHECK(loss(4, sample_reduce::sum, feaug::mask{}) ==
        Approx(4 * loss(4, sample_reduce::mean, feaug::mask{})));
  CHECK(loss(4, sample_reduce::mean, feaug::mask{}) != loss(1, sample_reduce::mean, feaug::mask{}));
  CHECK(loss(4, sample_reduce::mean, feaug::identity{}) ==
        Approx(loss(1, sample_reduce::mean, feaug::identity{})));
  // A callable is called once for each direction and sample.
  std::vector<std::pair<int, int>> asked;
  loss(2, sample_reduce::mean, [&](int direction, int sample) {
    asked.emplace_back(direction, sample);
    return feaug::identity{};
  });
  CHECK(asked == std::vector<std::pair<int, int>>{{0, 0}, {0, 1}, {1, 0}, {1, 1}});
}

TEST_CASE("a similarity step is negative_cosine of every sample, for any number of samples",
          "[step]") {
  const int samples = GENERATE(1, 2, 4, 5, 9);
  const auto reduction = GENERATE(feaug::sample_reduce::mean, feaug::sample_reduce::sum);
  CAPTURE(samples);
  views v;
  feaug::cpu_context ctx{.threads = 2};
  feaug::no_predictor none;
  const feaug::mask policy{.keep_probability = 0.5F};
  const feaug::random_key key{.seed = 9, .step = 2};
  v.d1.fill(0.5);
  const double loss = feaug::step_direction(ctx,
                                            {.architecture = architecture::basic,
                                             .paradigm = paradigm::similarity,
                                             .samples = samples,
                                             .sample_reduction = reduction,
                                             .gradient_scale = 3},
                                            accumulate(v.z1.view(), v.d1.view()),
                                            stop_gradient(v.z2.view()), none, policy, key);
  const double weight = reduction == feaug::sample_reduce::mean ? 1.0 / samples : 1.0;
  double want = 0;
  test_matrix<double> d(rows, cols);
  d.fill(0.5);
  for (int k = 0; k < samples; ++k) {
    test_matrix<double> target(rows, cols);
    feaug::l2_normalize(ctx, v.z2.view(), target.view());
    feaug::augment(ctx, policy, target.view(), key.streams_later(k), target.view());
    want += weight * feaug::negative_cosine_with_gradients(
                         ctx, accumulate(v.z1.view(), d.view()),
                         stop_gradient(matrix_view<const double>(target.view())),
                         {.gradient_scale = 3 * weight});
  }
  CHECK(loss == Approx(want).epsilon(1e-13));
  CHECK(testing::relative_error(v.d1.values(), d.values()) < 1e-13);
}

TEST_CASE("number of predictor calls per architecture", "[step]") {
  views v;
  feaug::cpu_context ctx{.threads = 1};
  const auto calls = [&](architecture where) {
    bent_predictor h;
    feaug::step(ctx, {.architecture = where, .samples = 3}, stop_gradient(v.z1.view()),
                stop_gradient(v.z2.view()), h, feaug::mask{}, {});
    return h.forwards;
  };
  CHECK(calls(architecture::basic) == 0);
  CHECK(calls(architecture::pre_predictor) == 6);
  CHECK(calls(architecture::post_predictor) == 2);
  CHECK(calls(architecture::parallel_predictor) == 2);
}

TEST_CASE("a view without gradient gets gradient zero, and NaN propagates", "[step]") {
  views v;
  v.d2.fill(std::numeric_limits<double>::quiet_NaN());
  feaug::cpu_context ctx{.threads = 1};
  bent_predictor h;
  feaug::step(ctx, {.symmetric = false}, differentiable(v.z1.view(), v.d1.view()),
              differentiable(v.z2.view(), v.d2.view()), h, feaug::mask{}, {});
  CHECK(v.d2.values() == std::vector<double>(rows * cols, 0.0));
  v.z1.set(2, 1, std::numeric_limits<double>::quiet_NaN());
  CHECK(std::isnan(feaug::step(ctx, {}, differentiable(v.z1.view(), v.d1.view()),
                               differentiable(v.z2.view(), v.d2.view()), h, feaug::mask{}, {})));
}

TEST_CASE("error messages of step, which then writes nothing", "[step]") {
  views v;
  v.d1.fill(5.0);
  feaug::cpu_context ctx{.threads = 1};
  bent_predictor h;
  const auto z1 = differentiable(v.z1.view(), v.d1.view());
  const auto z2 = stop_gradient(v.z2.view());
  const auto says = [&](const std::string& text, const feaug::step_options<double>& options,
                        const auto& augmentation, const feaug::random_key& key = {}) {
    CHECK_THROWS_WITH(feaug::step(ctx, options, z1, z2, h, augmentation, key),
                      Catch::Matchers::Contains(text));
    CHECK(v.d1.values() == std::vector<double>(rows * cols, 5.0));
  };
  const feaug::mask policy;
  says("step: temperature: got 0, wanted a finite number above 0", {.temperature = 0}, policy);
  says("step: samples: got 0, wanted a number from 1", {.samples = 0}, policy);
  says("step: share: got 0", {.share = 0}, policy);
  says("step: gradient_scale: got nan",
       {.gradient_scale = std::numeric_limits<double>::quiet_NaN()}, policy);
  says("mask: keep_probability: got 2", {}, feaug::mask{.keep_probability = 2});
  says("step: random_key.step: got 4294967296, wanted a number below 2^32", {}, policy,
       {.step = 1ULL << 32U});
  says("step: random_key.stream: got 65535", {}, policy, {.stream = 65535});
  const auto negatives = test_matrix<double>::normal(3, cols, 5);
  says("step: negatives: got shape (3, 5), wanted none",
       {.paradigm = paradigm::similarity, .negatives = stop_gradient(negatives.view())}, policy);
  const auto wide = test_matrix<double>::normal(3, cols + 1, 5);
  says("step: negatives: got 6 columns, wanted 5 as z1", {.negatives = stop_gradient(wide.view())},
       policy);
  test_matrix<double> d_negatives(3, cols);
  says("step: negatives: got a gradient destination, wanted stop_gradient(negatives)",
       {.negatives = differentiable(negatives.view(), d_negatives.view())}, policy);
  const auto refuses = [&](const std::string& text, const feaug::operand<double>& first,
                           const feaug::operand<double>& second) {
    CHECK_THROWS_WITH(feaug::step(ctx, {}, first, second, h, policy, {}),
                      Catch::Matchers::Contains("step: " + text));
    CHECK(v.d1.values() == std::vector<double>(rows * cols, 5.0));
  };
  refuses("z1: got a null pointer with shape (6, 5)",
          stop_gradient(matrix_view<const double>(nullptr, rows, cols)), z2);
  refuses("z1: got shape (0, 5), wanted at least one row and one column",
          stop_gradient(v.z1.view().rows_from(0, 0)), stop_gradient(v.z2.view().rows_from(0, 0)));
  refuses("gradient of z1: got memory that overlaps z1", differentiable(v.d1.view(), v.d1.view()),
          z2);
  refuses("gradient of z1: got memory that overlaps z2", z1, stop_gradient(v.d1.view()));
  refuses("gradient of z1: got memory that overlaps gradient of z2", z1,
          differentiable(v.z2.view(), v.d1.view()));
  std::vector<double> losses(2, 5.0);
  CHECK_THROWS_WITH(
      feaug::step(ctx, {}, z1, z2, h, policy, {}, feaug::vector_view<double>(losses.data(), 2)),
      Catch::Matchers::Contains("step: loss: got 2 elements, wanted 1 (a scalar)"));
  CHECK(losses == std::vector<double>(2, 5.0));
  feaug::no_predictor none;
  CHECK_THROWS_WITH(
      feaug::step(ctx, {}, z1, z2, none, policy, {}),
      Catch::Matchers::Contains(
          "step: predictor: got no_predictor, wanted a predictor, or architecture::basic"));
  const auto fewer = test_matrix<double>::normal(rows - 1, cols, 3);
  CHECK_THROWS_WITH(
      feaug::step(ctx, {}, z1, stop_gradient(fewer.view()), h, policy, {}),
      Catch::Matchers::Contains("step: z2: got shape (5, 5), wanted shape (6, 5) as z1"));
  CHECK_THROWS_WITH(feaug::step_direction(ctx, {}, z1, z2, h, policy, {}, 2),
                    Catch::Matchers::Contains("step_direction: direction: got 2"));
}

}  // namespace step_test
