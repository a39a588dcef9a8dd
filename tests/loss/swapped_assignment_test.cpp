// swapped_assignment and assignment_loss against their formulas and automatic differentiation; and
// at the edges.
#include "feaug/cpu/loss/swapped_assignment.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "feaug/cpu/loss/assignment_loss.hpp"
#include "feaug/cpu/loss/sinkhorn.hpp"
#include "loss/assignment_reference.hpp"
#include "support/automatic_gradient.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace swapped_assignment_test {

using feaug::accumulate;
using feaug::differentiable;
using feaug::index_t;
using feaug::reduce;
using feaug::stop_gradient;
using testing::message_of;
using testing::test_matrix;

namespace {

const double infinity = std::numeric_limits<double>::infinity();

template <class T>
std::vector<std::vector<double>> assignments(const test_matrix<T>& scores,
                                             const test_matrix<T>& extra, double epsilon,
                                             index_t iterations) {
  std::vector<double> all = scores.values();
  for (const double x : extra.values()) all.push_back(x);
  const testing::rows_of<double> rows(all, 0, scores.rows() + extra.rows(), scores.cols());
  return testing::sinkhorn_rows(rows, scores.rows(), epsilon, iterations);
}

/// All three entries against the reference, one and three threads.
template <class T>
void compare(index_t rows, index_t cols, index_t extra_rows, reduce reduction,
             index_t iterations = 3) {
  CAPTURE(rows, cols, extra_rows, static_cast<int>(reduction), iterations);
  using C = feaug::compute_t<T>;
  const double epsilon = 0.25;
  const double temperature = 0.3;
  const double scale = 3;
  const auto a = test_matrix<T>::normal(rows, cols, 1, 2);
  const auto b = test_matrix<T>::normal(rows, cols, 2);
  const auto extra_a = test_matrix<T>::normal(extra_rows, cols, 3);
  const auto extra_b = test_matrix<T>::normal(2 * extra_rows, cols, 4);
  const auto q_a = assignments(a, extra_a, epsilon, iterations);
  const auto q_b = assignments(b, extra_b, epsilon, iterations);
  std::vector<C> row_weights;
  std::vector<C> cotangent;
  std::vector<double> loss_weights;
  std::vector<double> gradient_weights;
  const index_t outputs = reduction == reduce::none ? rows : 1;
  for (index_t i = 0; i < rows; ++i) {
    row_weights.push_back(static_cast<C>(0.5 * static_cast<double>(i % 4)));
    if (i < outputs) cotangent.push_back(static_cast<C>(0.75 - 0.5 * static_cast<double>(i)));
    const double share = reduction == reduce::mean ? 1.0 / static_cast<double>(rows) : 1.0;
    loss_weights.push_back(share * static_cast<double>(row_weights.back()));
    gradient_weights.push_back(loss_weights.back() * scale *
                               static_cast<double>(outputs == 1 ? cotangent[0] : cotangent.back()));
  }
  std::vector<double> x = a.values();
  for (const double v : b.values()) x.push_back(v);
  const auto formula = [&](const auto& in) {
    using S = std::decay_t<decltype(in[0])>;
    const testing::rows_of<S> first(in, 0, rows, cols);
    const testing::rows_of<S> second(in, static_cast<std::size_t>(rows * cols), rows, cols);
    return testing::swapped_assignment_rows(first, second, q_a, q_b, temperature);
  };
  const auto row_losses = formula(x);
  const auto want = testing::automatic_gradient(
      [&](const std::vector<testing::dual>& in) {
        return testing::weighted(formula(in), gradient_weights);
      },
      x);
  const auto half = want.gradient.begin() + rows * cols;
  const std::vector<double> want_a(want.gradient.begin(), half);
  const std::vector<double> want_b(half, want.gradient.end());

  feaug::swapped_assignment_options<T> options{.temperature = temperature,
                                               .epsilon = epsilon,
                                               .iterations = iterations,
                                               .reduction = reduction,
                                               .gradient_scale = scale,
                                               .row_weights = {row_weights.data(), rows}};
  if (extra_rows > 0) {
    options.extra_scores_a = extra_a.view();
    options.extra_scores_b = extra_b.view();
  }
  std::vector<C> first_loss;
  std::vector<double> first_gradient;
  for (const int threads : {1, 3}) {
    feaug::cpu_context ctx{.threads = threads};
    test_matrix<T> d_a(rows, cols, 1);
    test_matrix<T> d_b(rows, cols);
    std::vector<C> loss(static_cast<std::size_t>(outputs));
    std::vector<double> statistics(static_cast<std::size_t>(2 * cols));
    feaug::swapped_assignment(ctx, a.view(), b.view(), {loss.data(), outputs}, options,
                              {statistics.data(), 2 * cols});
    for (index_t i = 0; i < outputs; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const double wanted = outputs == 1 ? testing::weighted(row_losses, loss_weights)
                                         : loss_weights[at] * row_losses[at];
      CHECK(static_cast<double>(loss[at]) == Approx(wanted).epsilon(1e-5).margin(1e-5));
    }
    feaug::swapped_assignment_backward(
        ctx, differentiable(a.view(), d_a.view()), differentiable(b.view(), d_b.view()),
        {statistics.data(), 2 * cols}, {cotangent.data(), outputs}, options);
    CHECK(testing::relative_error(d_a.values(), want_a) < testing::tolerance<T>());
    CHECK(testing::relative_error(d_b.values(), want_b) < testing::tolerance<T>());
    CHECK(d_a.padding_intact());
    if (threads == 1) {
      first_loss = loss;
      first_gradient = d_a.values();
    }
    CHECK(loss == first_loss);
    CHECK(d_a.values() == first_gradient);
    // At once, with one side stopped and the other added to; weights stand for the cotangent.
    options.row_weights = {};
    test_matrix<T> sum = test_matrix<T>::normal(rows, cols, 7);
    test_matrix<T> alone(rows, cols);
    const std::vector<double> before = sum.values();
    feaug::swapped_assignment_with_gradients(ctx, stop_gradient(a.view()),
                                             differentiable(b.view(), alone.view()),
                                             {loss.data(), outputs}, options);
    feaug::swapped_assignment_with_gradients(ctx, stop_gradient(a.view()),
                                             accumulate(b.view(), sum.view()),
                                             {loss.data(), outputs}, options);
    std::vector<double> total = alone.values();
    for (std::size_t k = 0; k < total.size(); ++k) total[k] += before[k];
    CHECK(testing::relative_error(sum.values(), total) < testing::tolerance<T>());
    options.row_weights = {row_weights.data(), rows};
  }
}

}  // namespace

TEMPLATE_TEST_CASE("swapped_assignment and its gradients are the formula's", "[swapped_assignment]",
                   double, float) {
  const auto shape = GENERATE(table<index_t, index_t>({{1, 1}, {1, 3}, {4, 1}, {5, 4}, {9, 6}}));
  const reduce reduction = GENERATE(reduce::mean, reduce::sum, reduce::none);
  compare<TestType>(std::get<0>(shape), std::get<1>(shape), 0, reduction);
  compare<TestType>(std::get<0>(shape), std::get<1>(shape), 3, reduction);
  compare<TestType>(std::get<0>(shape), std::get<1>(shape), 1, reduction, 0);
}

TEMPLATE_TEST_CASE("swapped_assignment of 16-bit scores", "[swapped_assignment]", feaug::half,
                   feaug::bfloat16) {
  compare<TestType>(5, 4, 2, reduce::mean);
}

TEST_CASE("swapped_assignment is two assignment losses", "[swapped_assignment]") {
  // As the caller writes several crops; 300 rows are more than one block of them.
  const index_t rows = 300;
  const index_t cols = 130;
  const auto a = test_matrix<float>::normal(rows, cols, 1);
  const auto b = test_matrix<float>::normal(rows, cols, 2, 1);
  test_matrix<float> d_a(rows, cols);
  test_matrix<float> d_b(rows, cols);
  test_matrix<float> want_a(rows, cols);
  test_matrix<float> want_b(rows, cols);
  feaug::cpu_context ctx{.threads = 2};
  const float want = feaug::swapped_assignment_with_gradients(
      ctx, differentiable(a.view(), want_a.view()), differentiable(b.view(), want_b.view()));
  std::vector<double> of_a(cols);
  std::vector<double> of_b(cols);
  feaug::sinkhorn_potentials(ctx, a.view(), {of_a.data(), cols});
  feaug::sinkhorn_potentials(ctx, b.view(), {of_b.data(), cols});
  const float first = feaug::assignment_loss_with_gradients(
      ctx, differentiable(a.view(), d_a.view()),
      {.scores = b.view(), .potentials = {of_b.data(), cols}}, {.gradient_scale = 0.5});
  const float second = feaug::assignment_loss(
      ctx, b.view(), {.scores = a.view(), .potentials = {of_a.data(), cols}});
  const float half = 0.5F;
  feaug::assignment_loss_backward(ctx, differentiable(b.view(), d_b.view()),
                                  {.scores = a.view(), .potentials = {of_a.data(), cols}},
                                  {&half, 1});
  CHECK(want == Approx(0.5 * static_cast<double>(first + second)).epsilon(1e-6));
  CHECK(d_a.values() == want_a.values());
  CHECK(d_b.values() == want_b.values());
  // Softmax and assignments sum to 1, so that a row's gradient sums to 0.
  for (index_t i = 0; i < rows; ++i) {
    double sum = 0;
    for (index_t j = 0; j < cols; ++j) sum += d_a.get(i, j);
    CHECK(sum == Approx(0).margin(1e-7));
  }
}

TEST_CASE("swapped_assignment at the edges", "[swapped_assignment]") {
  feaug::cpu_context ctx{.threads = 1};
  auto a = test_matrix<float>::normal(4, 3, 1);
  auto b = test_matrix<float>::normal(4, 3, 2);
  test_matrix<float> d_a(4, 3);
  test_matrix<float> d_b(4, 3);
  std::vector<float> losses(4);
  const auto run = [&] {
    feaug::swapped_assignment_with_gradients(ctx, differentiable(a.view(), d_a.view()),
                                             differentiable(b.view(), d_b.view()),
                                             {losses.data(), 4}, {.reduction = reduce::none});
  };
  SECTION("huge and equal scores") {
    for (index_t j = 0; j < 3; ++j) {
      a.set(0, j, j == 0 ? 1e30 : -1e30);
      b.set(0, j, a.get(0, j));
      a.set(1, j, 1e-30);
      b.set(2, j, 1e20);
    }
    run();
    for (const float loss : losses) CHECK((loss >= 0 && std::isfinite(loss)));
    for (const double x : d_a.values()) CHECK(std::isfinite(x));
    for (const double x : d_b.values()) CHECK(std::isfinite(x));
  }
  SECTION("NaN reaches every row") {
    a.set(2, 1, std::numeric_limits<double>::quiet_NaN());
    run();
    for (const float loss : losses) CHECK(std::isnan(loss));
    for (const double x : d_b.values()) CHECK(std::isnan(x));
    for (index_t j = 0; j < 3; ++j)
      CHECK((std::isnan(d_a.get(2, j)) && !std::isnan(d_a.get(0, j))));
  }
  SECTION("−∞ on both sides is a prototype that this sample does not know") {
    a.set(1, 2, -infinity);
    b.set(1, 2, -infinity);
    run();
    for (const float loss : losses) CHECK(std::isfinite(loss));
    CHECK((d_a.get(1, 2) == 0 && d_b.get(1, 2) == 0));
    // On one side alone it is predicted never, and assigned sometimes.
    b.set(1, 2, 0);
    run();
    CHECK((losses[1] == std::numeric_limits<float>::infinity() && std::isfinite(losses[0])));
  }
  SECTION("a sample without scores is left out") {
    a.fill_row(3, -infinity);
    b.fill_row(3, -infinity);
    run();
    CHECK(losses[3] == 0);
    for (index_t j = 0; j < 3; ++j) CHECK((d_a.get(3, j) == 0 && d_b.get(3, j) == 0));
    for (const double x : d_a.values()) CHECK(std::isfinite(x));
  }
}

TEST_CASE("what swapped_assignment and assignment_loss refuse", "[swapped_assignment]") {
  feaug::cpu_context ctx{.threads = 1};
  const auto a = test_matrix<float>::normal(4, 3, 1);
  const auto b = test_matrix<float>::normal(4, 3, 2);
  const auto narrow = test_matrix<float>::normal(4, 2, 3);
  auto d_a = test_matrix<float>::normal(4, 3, 5);
  const auto before = d_a.values();
  const auto x = differentiable(a.view(), d_a.view());
  const auto y = stop_gradient(b.view());
  std::vector<double> numbers(8, 1.0);
  float loss = 5;
  const float one = 1;
  const auto says = [&](const std::string& text, const auto& call) {
    CHECK(message_of(call) == text);
    CHECK(d_a.values() == before);
    CHECK(loss == 5);
  };
  const feaug::vector_view<float> to = feaug::scalar(loss);
  says("swapped_assignment: scores_b: got shape (4, 2), wanted shape (4, 3) as scores_a",
       [&] { feaug::swapped_assignment(ctx, a.view(), narrow.view(), to); });
  says("swapped_assignment: temperature: got -1, wanted a finite number above 0",
       [&] { feaug::swapped_assignment(ctx, a.view(), b.view(), to, {.temperature = -1}); });
  says("swapped_assignment: epsilon: got 0, wanted a finite number above 0",
       [&] { feaug::swapped_assignment(ctx, a.view(), b.view(), to, {.epsilon = 0}); });
  says("swapped_assignment: iterations: got -2, wanted at least 0",
       [&] { feaug::swapped_assignment(ctx, a.view(), b.view(), to, {.iterations = -2}); });
  says("swapped_assignment: extra_scores_b: got 2 columns, wanted 3 as scores_a", [&] {
    feaug::swapped_assignment(ctx, a.view(), b.view(), to, {.extra_scores_b = narrow.view()});
  });
  says("swapped_assignment: statistics: got 8 elements, wanted 6 (the potentials of both views)",
       [&] {
         feaug::swapped_assignment(ctx, a.view(), b.view(), to, {}, {numbers.data(), 8});
       });
  says("swapped_assignment: reduction: got none, wanted mean or sum, or a view for a loss a row",
       [&] { feaug::swapped_assignment(ctx, a.view(), b.view(), {.reduction = reduce::none}); });
  says("swapped_assignment: loss: got 1 elements, wanted 4 (a loss a row)", [&] {
    feaug::swapped_assignment(ctx, a.view(), b.view(), to, {.reduction = reduce::none});
  });
  says(
      "swapped_assignment_with_gradients: gradient of scores_a: got memory that overlaps "
      "extra_scores_a, wanted memory of its own",
      [&] {
        feaug::swapped_assignment_with_gradients(ctx, x, y, to, {.extra_scores_a = d_a.view()});
      });
  says(
      "swapped_assignment_backward: statistics: got 0 elements, wanted 6 (as the forward pass "
      "wrote them)",
      [&] {
        feaug::swapped_assignment_backward(ctx, x, y, {}, {&one, 1});
      });
  says(
      "swapped_assignment_backward: cotangent: got no elements, wanted one, or one a row with "
      "reduce::none",
      [&] {
        feaug::swapped_assignment_backward(ctx, x, y, {numbers.data(), 6}, {});
      });

  feaug::assignment_target<float> target{.scores = b.view(), .potentials = {numbers.data(), 3}};
  const auto refuses = [&](const std::string& text,
                           const feaug::assignment_loss_options<float>& options = {}) {
    says("assignment_loss_with_gradients: " + text,
         [&] { feaug::assignment_loss_with_gradients(ctx, x, target, to, options); });
  };
  refuses("temperature: got 0, wanted a finite number above 0", {.temperature = 0});
  target.epsilon = -1;
  refuses("target.epsilon: got -1, wanted a finite number above 0");
  target.epsilon = 0.05;
  target.iterations = -1;
  refuses("target.iterations: got -1, wanted at least 0");
  target.iterations = 3;
  target.potentials = {numbers.data(), 4};
  refuses("target.potentials: got 4 elements, wanted 3 (a number a prototype)");
  target.potentials = {numbers.data(), 3};
  target.scores = narrow.view();
  refuses("target.scores: got shape (4, 2), wanted shape (4, 3) as scores");
  target.scores = d_a.view();
  refuses("gradient of scores: got memory that overlaps target.scores, wanted memory of its own");
  target.scores = b.view();
  says(
      "assignment_loss_backward: cotangent: got no elements, wanted one, or one a row with "
      "reduce::none",
      [&] { feaug::assignment_loss_backward(ctx, x, target, {}); });
}

}  // namespace swapped_assignment_test
