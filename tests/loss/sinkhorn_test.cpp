// sinkhorn: formula in plain exponentials, and scores whose exponentials overflow.
#include "feaug/cpu/loss/sinkhorn.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "loss/assignment_reference.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace sinkhorn_test {

using feaug::index_t;
using testing::message_of;
using testing::test_matrix;

namespace {

const double infinity = std::numeric_limits<double>::infinity();
const double not_a_number = std::numeric_limits<double>::quiet_NaN();

const testing::registered_formula formula(
    "sinkhorn", {},
    []<class S>(const testing::formula_inputs<S>& in) {
      std::vector<S> all;
      for (const auto& row :
           testing::sinkhorn_rows(in.constant("scores"), in.constant("extra_scores"),
                                  in.option("epsilon", 0.05), in.option("iterations", index_t{3})))
        all.insert(all.end(), row.begin(), row.end());
      return all;
    },
    nullptr, false);

template <class T>
double row_sum(const test_matrix<T>& x, index_t i) {
  double sum = 0;
  for (index_t j = 0; j < x.cols(); ++j) sum += x.get(i, j);
  return sum;
}

}  // namespace

TEST_CASE("sinkhorn's potentials give its assignments row by row", "[sinkhorn]") {
  const auto scores = test_matrix<double>::normal(40, 70, 1, 2);
  feaug::cpu_context ctx{.threads = 2};
  for (const index_t iterations : {0, 1, 3}) {
    const feaug::sinkhorn_options<double> options{.epsilon = 0.25, .iterations = iterations};
    test_matrix<double> out(40, 70);
    std::vector<double> potentials(70);
    feaug::sinkhorn(ctx, scores.view(), out.view(), options);
    feaug::sinkhorn_potentials(ctx, scores.view(), {potentials.data(), 70}, options);
    for (index_t i = 0; i < 40; ++i) {
      std::vector<double> made;
      for (index_t j = 0; j < 70; ++j)
        made.push_back(scores.get(i, j) / 0.25 + potentials[static_cast<std::size_t>(j)]);
      const double all = iterations > 0 ? testing::log_sum_exp(made) : 0;
      if (iterations > 0) CHECK(row_sum(out, i) == Approx(1).epsilon(1e-9));
      for (index_t j = 0; j < 70; ++j)
        CHECK(out.get(i, j) ==
              Approx(std::exp(made[static_cast<std::size_t>(j)] - all)).epsilon(1e-9));
    }
  }
}

TEST_CASE("sinkhorn balances the columns after many iterations", "[sinkhorn]") {
  const auto scores = test_matrix<double>::normal(30, 6, 4);
  test_matrix<double> out(30, 6);
  feaug::cpu_context ctx{.threads = 1};
  feaug::sinkhorn(ctx, scores.view(), out.view(), {.epsilon = 0.5, .iterations = 200});
  for (index_t j = 0; j < 6; ++j) {
    double sum = 0;
    for (index_t i = 0; i < 30; ++i) sum += out.get(i, j);
    CHECK(sum == Approx(5));
  }
}

TEST_CASE("sinkhorn of scores whose exponentials overflow", "[sinkhorn]") {
  feaug::cpu_context ctx{.threads = 1};
  const auto small = test_matrix<float>::normal(6, 4, 1);
  SECTION("a prototype far below the others still gets its share") {
    auto far = small;
    auto near = small;  // has the same rounding errors as `far`
    for (index_t i = 0; i < 6; ++i) {
      far.set(i, 2, small.get(i, 2) - 1024);
      near.set(i, 2, far.get(i, 2) + 1024);
    }
    test_matrix<float> out(6, 4);
    test_matrix<float> want(6, 4);
    feaug::sinkhorn(ctx, far.view(), out.view());
    feaug::sinkhorn(ctx, near.view(), want.view());
    CHECK(testing::relative_error(out.values(), want.values()) < 1e-5);
    double share = 0;
    for (index_t i = 0; i < 6; ++i) share += out.get(i, 2);
    CHECK(share > 0.5);
  }
  SECTION("huge and tiny scores, ties") {
    auto scores = small;
    for (index_t j = 0; j < 4; ++j) {
      scores.set(0, j, 1e30);
      scores.set(1, j, j < 2 ? 3e37 : -3e37);
      scores.set(2, j, 1e-30);
    }
    test_matrix<float> out(6, 4);
    feaug::sinkhorn(ctx, scores.view(), out.view());
    for (const double x : out.values()) CHECK((x >= 0 && x <= 1));
    for (index_t i = 0; i < 6; ++i) CHECK(row_sum(out, i) == Approx(1));
    const test_matrix<float> zeros(3, 4);
    feaug::sinkhorn(ctx, zeros.view(), out.view().rows_from(0, 3));
    for (index_t i = 0; i < 3; ++i) {
      for (index_t j = 0; j < 4; ++j) CHECK(out.get(i, j) == 0.25);
    }
  }
  SECTION("scores in double") {
    auto scores = test_matrix<double>::normal(5, 3, 1);
    scores.set(0, 0, 1e300);
    scores.set(1, 2, -1e300);
    test_matrix<double> out(5, 3);
    for (const index_t iterations : {0, 3}) {
      feaug::sinkhorn(ctx, scores.view(), out.view(), {.iterations = iterations});
      for (const double x : out.values()) CHECK(std::isfinite(x));
    }
  }
}

TEST_CASE("sinkhorn of scores that are not finite", "[sinkhorn]") {
  feaug::cpu_context ctx{.threads = 2};
  auto scores = test_matrix<float>::normal(5, 4, 1);
  test_matrix<float> out(5, 4);
  const auto run = [&](index_t iterations) {
    feaug::sinkhorn(ctx, scores.view(), out.view(), {.iterations = iterations});
  };
  SECTION("a score of −∞ has assignment 0") {
    scores.set(1, 2, -infinity);
    scores.set(3, 0, -infinity);
    for (const index_t iterations : {0, 3}) {
      run(iterations);
      CHECK((out.get(1, 2) == 0 && out.get(3, 0) == 0));
      for (index_t i = 0; i < 5; ++i) {
        CHECK(std::isfinite(row_sum(out, i)));
        if (iterations > 0) CHECK(row_sum(out, i) == Approx(1));
      }
    }
  }
  SECTION("a row of only −∞ has assignments 0 and does not change the others") {
    scores.fill_row(4, -infinity);
    run(3);
    test_matrix<float> want(4, 4);
    feaug::sinkhorn(ctx, scores.view().rows_from(0, 4), want.view());
    for (index_t j = 0; j < 4; ++j) {
      for (index_t i = 0; i < 4; ++i) CHECK(out.get(i, j) == Approx(want.get(i, j)).epsilon(1e-5));
      CHECK(out.get(4, j) == 0);
    }
  }
  SECTION("a prototype of only −∞ is left out") {
    for (index_t i = 0; i < 5; ++i) scores.set(i, 3, -infinity);
    run(3);
    const feaug::matrix_view<const float> three(scores.view().data, 5, 3, 4);
    test_matrix<float> want(5, 3);
    feaug::sinkhorn(ctx, three, want.view());
    for (index_t i = 0; i < 5; ++i) {
      CHECK(out.get(i, 3) == 0);
      for (index_t j = 0; j < 3; ++j) CHECK(out.get(i, j) == Approx(want.get(i, j)).epsilon(1e-5));
    }
  }
  SECTION("NaN and +∞ affect every row") {
    for (const double bad : {not_a_number, infinity}) {
      for (const index_t iterations : {0, 1, 3}) {
        scores.set(2, 1, bad);
        run(iterations);
        for (const double x : out.values()) CHECK(std::isnan(x));
      }
    }
    test_matrix<float> queue(2, 4);
    queue.set(1, 1, not_a_number);
    scores.set(2, 1, 0);
    feaug::sinkhorn(ctx, scores.view(), out.view(), {.extra_scores = queue.view()});
    for (const double x : out.values()) CHECK(std::isnan(x));
  }
}

TEST_CASE("sinkhorn rejects invalid arguments", "[sinkhorn]") {
  feaug::cpu_context ctx{.threads = 1};
  auto scores = test_matrix<float>::normal(4, 3, 1);
  auto out = test_matrix<float>::normal(4, 3, 2);
  const auto before = out.values();
  const auto says = [&](const std::string& text, const auto& call) {
    CHECK(message_of(call) == text);
    CHECK(out.values() == before);
  };
  const feaug::matrix_view<const float> none(nullptr, 0, 3);
  says("sinkhorn: scores: got shape (0, 3), wanted at least one row and one column",
       [&] { feaug::sinkhorn(ctx, none, out.view()); });
  says("sinkhorn: epsilon: got 0, wanted a finite number above 0",
       [&] { feaug::sinkhorn(ctx, scores.view(), out.view(), {.epsilon = 0}); });
  says("sinkhorn: iterations: got -1, wanted at least 0",
       [&] { feaug::sinkhorn(ctx, scores.view(), out.view(), {.iterations = -1}); });
  says("sinkhorn: out: got shape (3, 3), wanted shape (4, 3) as scores",
       [&] { feaug::sinkhorn(ctx, scores.view(), out.view().rows_from(0, 3)); });
  const feaug::matrix_view<float> shifted(scores.view().data + 1, 3, 3);
  says(
      "sinkhorn: out: got memory that partly overlaps scores, wanted the same view or memory of "
      "its own",
      [&] { feaug::sinkhorn(ctx, scores.view().rows_from(0, 3), shifted); });
  const auto wide = test_matrix<float>::normal(2, 4, 3);
  says("sinkhorn: extra_scores: got 4 columns, wanted 3 as scores",
       [&] { feaug::sinkhorn(ctx, scores.view(), out.view(), {.extra_scores = wide.view()}); });
  says("sinkhorn: out: got memory that overlaps extra_scores, wanted memory of its own",
       [&] { feaug::sinkhorn(ctx, scores.view(), out.view(), {.extra_scores = out.view()}); });
  std::vector<double> potentials(3, 5);
  says("sinkhorn_potentials: potentials: got 2 elements, wanted 3 (a number a prototype)", [&] {
    feaug::sinkhorn_potentials(ctx, scores.view(), {potentials.data(), 2});
  });
  says(
      "sinkhorn_potentials: potentials: got a null pointer with shape (3), wanted a pointer to "
      "its elements",
      [&] {
        feaug::sinkhorn_potentials(ctx, scores.view(), {nullptr, 3});
      });
  CHECK(potentials == std::vector<double>(3, 5));
}

}  // namespace sinkhorn_test
