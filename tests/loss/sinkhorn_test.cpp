// sinkhorn against its formula in plain exponentials; and where those would overflow.
#include "feaug/cpu/loss/sinkhorn.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <tuple>
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

template <class T>
std::vector<double> wanted(const test_matrix<T>& scores, const test_matrix<T>& extra,
                           double epsilon, index_t iterations) {
  std::vector<double> all = scores.values();
  for (const double x : extra.values()) all.push_back(x);
  const testing::rows_of<double> rows(all, 0, scores.rows() + extra.rows(), scores.cols());
  std::vector<double> flat;
  for (const auto& row : testing::sinkhorn_rows(rows, scores.rows(), epsilon, iterations)) {
    for (const double x : row) flat.push_back(x);
  }
  return flat;
}

template <class T>
double row_sum(const test_matrix<T>& x, index_t i) {
  double sum = 0;
  for (index_t j = 0; j < x.cols(); ++j) sum += x.get(i, j);
  return sum;
}

template <class T>
void compare(index_t rows, index_t cols, index_t extra_rows, index_t iterations) {
  CAPTURE(rows, cols, extra_rows, iterations);
  auto scores = test_matrix<T>::normal(rows, cols, 1, 2);
  const auto extra = test_matrix<T>::normal(extra_rows, cols, 2, 1);
  const double epsilon = 0.25;
  const auto want = wanted(scores, extra, epsilon, iterations);
  feaug::sinkhorn_options<T> options{.epsilon = epsilon, .iterations = iterations};
  if (extra_rows > 0) options.extra_scores = extra.view();
  std::vector<double> first;
  std::vector<double> first_potentials;
  for (const int threads : {1, 2, 3}) {
    feaug::cpu_context ctx{.threads = threads};
    test_matrix<T> out(rows, cols, 3);
    feaug::sinkhorn(ctx, scores.view(), out.view(), options);
    CHECK(testing::relative_error(out.values(), want) <= testing::tolerance<T>());
    CHECK(out.padding_intact());
    for (index_t i = 0; iterations > 0 && i < rows; ++i)
      CHECK(row_sum(out, i) ==
            Approx(1).epsilon(testing::tolerance<T>() * static_cast<double>(cols)));
    std::vector<double> potentials(static_cast<std::size_t>(cols));
    feaug::sinkhorn_potentials(ctx, scores.view(), {potentials.data(), cols}, options);
    if (threads == 1) {
      first = out.values();
      first_potentials = potentials;
    }
    CHECK(out.values() == first);
    CHECK(potentials == first_potentials);
  }
  // The potentials make the assignments, row by row.
  std::vector<double> made;
  for (index_t i = 0; i < rows; ++i) {
    double sum = iterations > 0 ? 0 : 1;
    std::vector<double> row;
    for (index_t j = 0; j < cols; ++j) {
      row.push_back(
          std::exp(scores.get(i, j) / epsilon + first_potentials[static_cast<std::size_t>(j)]));
      if (iterations > 0) sum += row.back();
    }
    for (const double x : row) made.push_back(x / sum);
  }
  // Float's exponentials are rounded; the potentials, in double, carry that.
  CHECK(testing::relative_error(made, want) <= (std::is_same_v<T, double> ? 1e-9 : 1e-5));
  feaug::cpu_context ctx{.threads = 2};
  feaug::sinkhorn(ctx, scores.view(), scores.view(), options);
  CHECK(scores.values() == first);
  CHECK(scores.padding_intact());
}

}  // namespace

TEMPLATE_TEST_CASE("sinkhorn is the formula's", "[sinkhorn]", double, float) {
  const auto shape = GENERATE(
      table<index_t, index_t>({{1, 1}, {1, 5}, {6, 1}, {5, 7}, {12, 16}, {40, 70}, {700, 130}}));
  const index_t iterations = GENERATE(0, 1, 3);
  const index_t extra = GENERATE(0, 4);
  if (std::get<0>(shape) > 100 && (extra == 0 || iterations == 1)) return;
  compare<TestType>(std::get<0>(shape), std::get<1>(shape), extra, iterations);
}

TEMPLATE_TEST_CASE("sinkhorn of 16-bit scores", "[sinkhorn]", feaug::half, feaug::bfloat16) {
  compare<TestType>(7, 5, 2, 3);
  compare<TestType>(3, 70, 0, 2);
}

TEST_CASE("sinkhorn's columns are balanced in the end", "[sinkhorn]") {
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
  SECTION("a prototype far below the others gets its share") {
    auto far = small;
    auto near = small;  // with what the distance left of float's digits
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
  SECTION("huge, tiny, ties") {
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
  SECTION("doubles") {
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
  SECTION("−∞ is never assigned") {
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
  SECTION("a row of −∞ alone is 0 and the others are as without it") {
    scores.fill_row(4, -infinity);
    run(3);
    test_matrix<float> want(4, 4);
    feaug::sinkhorn(ctx, scores.view().rows_from(0, 4), want.view());
    for (index_t j = 0; j < 4; ++j) {
      for (index_t i = 0; i < 4; ++i) CHECK(out.get(i, j) == Approx(want.get(i, j)).epsilon(1e-5));
      CHECK(out.get(4, j) == 0);
    }
  }
  SECTION("a prototype of −∞ alone takes no part") {
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
  SECTION("NaN and +∞ reach every row") {
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

TEST_CASE("what sinkhorn refuses", "[sinkhorn]") {
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
