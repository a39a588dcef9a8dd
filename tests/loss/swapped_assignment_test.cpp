// swapped_assignment and assignment_loss: formulas, edge cases.
#include "feaug/cpu/loss/swapped_assignment.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "feaug/cpu/loss/assignment_loss.hpp"
#include "feaug/cpu/loss/sinkhorn.hpp"
#include "loss/assignment_reference.hpp"
#include "support/test_matrix.hpp"

namespace swapped_assignment_test {

using feaug::differentiable;
using feaug::index_t;
using feaug::reduce;
using testing::test_matrix;

namespace {

const double infinity = std::numeric_limits<double>::infinity();

/// The assignments of a view, as constants without gradient.
template <class S>
std::vector<std::vector<double>> assignments(const testing::formula_inputs<S>& in,
                                             const std::string& view) {
  return testing::sinkhorn_rows(in.constant("scores_" + view), in.constant("extra_scores_" + view),
                                in.option("epsilon", 0.05), in.option("iterations", index_t{3}));
}

const testing::registered_formula formula(
    "swapped_assignment", {"scores_a", "scores_b"},
    []<class S>(const testing::formula_inputs<S>& in) {
      const auto a = in.matrix("scores_a");
      const auto b = in.matrix("scores_b");
      const auto q_a = assignments(in, "a");
      const auto q_b = assignments(in, "b");
      const double temperature = in.option("temperature", 0.1);
      std::vector<S> losses;
      for (index_t i = 0; i < a.size(); ++i) {
        const auto at = static_cast<std::size_t>(i);
        losses.push_back(S((testing::assignment_row(a[i], q_b[at], temperature) +
                            testing::assignment_row(b[i], q_a[at], temperature)) *
                           0.5));
      }
      return losses;
    },
    nullptr, false);

/// Potentials p give a row the assignments softmax_j(scores_j / ε + p_j). With 0 iterations they
/// are exp(scores_j / ε + p_j), not normalised per row.
const testing::registered_formula formula_of_one(
    "assignment_loss", {"scores"},
    []<class S>(const testing::formula_inputs<S>& in) {
      const auto scores = in.matrix("scores");
      const auto target = in.constant("target.scores");
      const std::vector<double>& potentials = in.vector("target.potentials");
      std::vector<S> losses;
      for (index_t i = 0; i < scores.size(); ++i) {
        std::vector<double> q;
        for (std::size_t j = 0; j < potentials.size(); ++j)
          q.push_back(target[i][j] / in.option("epsilon", 0.05) + potentials[j]);
        const double all = in.option("iterations", index_t{3}) > 0 ? testing::log_sum_exp(q) : 0;
        for (double& x : q) x = std::exp(x - all);
        losses.push_back(testing::assignment_row(scores[i], q, in.option("temperature", 0.1)));
      }
      return losses;
    },
    nullptr, false);

}  // namespace

TEST_CASE("swapped_assignment equals two assignment losses", "[swapped_assignment]") {
  // The calls that a user makes for several crops. 300 rows are more than one block.
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
  // Softmax and assignments both sum to 1, so the gradient of a row sums to 0.
  for (index_t i = 0; i < rows; ++i) {
    double sum = 0;
    for (index_t j = 0; j < cols; ++j) sum += d_a.get(i, j);
    CHECK(sum == Approx(0).margin(1e-7));
  }
}

TEST_CASE("swapped_assignment: edge cases", "[swapped_assignment]") {
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
  SECTION("NaN affects every row") {
    a.set(2, 1, std::numeric_limits<double>::quiet_NaN());
    run();
    for (const float loss : losses) CHECK(std::isnan(loss));
    for (const double x : d_b.values()) CHECK(std::isnan(x));
    for (index_t j = 0; j < 3; ++j)
      CHECK((std::isnan(d_a.get(2, j)) && !std::isnan(d_a.get(0, j))));
  }
  SECTION("−∞ in both views excludes the prototype for this sample") {
    a.set(1, 2, -infinity);
    b.set(1, 2, -infinity);
    run();
    for (const float loss : losses) CHECK(std::isfinite(loss));
    CHECK((d_a.get(1, 2) == 0 && d_b.get(1, 2) == 0));
    // −∞ in one view only: its prediction is 0 but its assignment is positive, so the loss is ∞.
    b.set(1, 2, 0);
    run();
    CHECK((losses[1] == std::numeric_limits<float>::infinity() && std::isfinite(losses[0])));
  }
  SECTION("a sample with only −∞ scores is left out") {
    a.fill_row(3, -infinity);
    b.fill_row(3, -infinity);
    run();
    CHECK(losses[3] == 0);
    for (index_t j = 0; j < 3; ++j) CHECK((d_a.get(3, j) == 0 && d_b.get(3, j) == 0));
    for (const double x : d_a.values()) CHECK(std::isfinite(x));
  }
}

}  // namespace swapped_assignment_test
