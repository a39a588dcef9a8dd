// soft_neighbour compared with its formula in plain loops, with automatic differentiation and
// central differences; edge cases.
#include "feaug/cpu/augment/soft_neighbour.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "augment/neighbour_reference.hpp"
#include "feaug/augment/compose.hpp"
#include "feaug/augment/one_of.hpp"
#include "feaug/cpu/augment/elementwise.hpp"
#include "feaug/cpu/augment/mask.hpp"
#include "queue/nearest_reference.hpp"
#include "support/automatic_gradient.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace soft_neighbour_test {

using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::random_key;
using testing::test_matrix;

namespace {

using double_rows = testing::rows_of_doubles;

double length(const std::vector<double>& row) {
  return std::max(std::sqrt(testing::reference_dot(row, row)), 1e-12);
}

/// Σ g ⊙ out by the formula. `slots` are the neighbours of each row.
template <class S>
S formula(const std::vector<S>& x, const double_rows& support,
          const std::vector<std::vector<std::int64_t>>& slots, double temperature,
          const std::vector<double>& g) {
  using std::exp;
  using std::sqrt;
  const std::size_t cols = support[0].size();
  S total = 0.0 * x[0];
  for (std::size_t i = 0; i < slots.size(); ++i) {
    S square = 0.0 * x[0];
    for (std::size_t j = 0; j < cols; ++j) square += x[i * cols + j] * x[i * cols + j];
    const S norm = sqrt(square);
    S sum = 0.0 * x[0];
    S value = 0.0 * x[0];
    for (const std::int64_t slot : slots[i]) {
      const std::vector<double>& v = support[static_cast<std::size_t>(slot)];
      S dot = 0.0 * x[0];
      double product = 0;
      for (std::size_t j = 0; j < cols; ++j) {
        dot += x[i * cols + j] * (v[j] / length(v));
        product += g[i * cols + j] * v[j] / length(v);
      }
      const S weight = exp(dot / norm * (1 / temperature));
      sum += weight;
      value += weight * product;
    }
    total += value / sum;
  }
  return total;
}

struct queue_of {
  test_matrix<double> storage;
  index_t cursor = 0;
  index_t size;
  std::vector<std::int64_t> ids;

  queue_of(index_t capacity, index_t cols, index_t filled)
      : storage(test_matrix<double>::normal(capacity, cols, 77)),
        cursor(filled % capacity),
        size(filled) {
    for (index_t slot = 0; slot < capacity; ++slot) ids.push_back(slot);
    for (index_t slot = filled; slot < capacity; ++slot)
      storage.fill_row(slot, std::numeric_limits<double>::quiet_NaN());
  }
  feaug::support_queue<double> view() {
    return {.storage = storage.view(),
            .cursor = &cursor,
            .size = &size,
            .normalize = false,
            .ids = {ids.data(), storage.rows()}};
  }
};

template <class T, class Policy>
std::vector<double> augmented(const Policy& policy, const test_matrix<T>& x, int threads = 1) {
  cpu_context ctx{.threads = threads};
  test_matrix<T> out(x.rows(), x.cols(), 3);
  feaug::augment(ctx, policy, x.view(), {}, out.view());
  CHECK(out.padding_intact());
  return out.values();
}

/// The gradient of Σ g ⊙ augment(x) with respect to x.
template <class T, class Policy>
std::vector<double> gradient(const Policy& policy, const test_matrix<T>& x, const test_matrix<T>& g,
                             int threads = 1) {
  cpu_context ctx{.threads = threads};
  test_matrix<T> d(x.rows(), x.cols(), 2);
  d.fill(std::numeric_limits<double>::quiet_NaN());
  feaug::augment_backward(ctx, policy, differentiable(x.view(), d.view()), random_key{}, g.view());
  CHECK(d.padding_intact());
  return d.values();
}

}  // namespace

TEMPLATE_TEST_CASE("soft_neighbour and its gradient agree with the formula", "[soft_neighbour]",
                   double, float, feaug::half, feaug::bfloat16) {
  using T = TestType;
  struct shape {
    index_t rows, cols, support, k;
  };
  const shape at = GENERATE(shape{1, 1, 1, 1}, shape{5, 7, 9, 3}, shape{4, 3, 5, 5},
                            shape{2, 17, 40, 4}, shape{3, 6, 8, 1});
  const double temperature = GENERATE(0.1, 0.7);
  CAPTURE(at.rows, at.cols, at.support, at.k, temperature);
  const auto x = test_matrix<T>::normal(at.rows, at.cols, 1, 2);
  const auto support = test_matrix<T>::normal(at.support, at.cols, 2, 1);
  const auto g = test_matrix<T>::normal(at.rows, at.cols, 3, 1);
  const double_rows rows = rows_of(support);
  std::vector<std::vector<std::int64_t>> slots;
  for (const std::vector<double>& query : rows_of(x))
    slots.push_back(testing::nearest_reference({.rows = rows}, query, at.k).indices);
  std::vector<index_t> found(static_cast<std::size_t>(at.rows * at.k), -7);
  const feaug::soft_neighbour how = {.k = at.k, .temperature = temperature};
  const auto policy =
      feaug::soft_neighbour_from(support.view(), how, {.indices = {found.data(), at.rows, at.k}});

  const std::vector<double> out = augmented(policy, x);
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto k = static_cast<std::size_t>(at.k);
    CHECK(found[i] == slots[i / k][i % k]);
  }
  for (std::size_t e = 0; e < out.size(); ++e) {
    std::vector<double> one(out.size(), 0.0);
    one[e] = 1;
    CHECK(
        out[e] ==
        Approx(formula(x.values(), rows, slots, temperature, one)).margin(testing::tolerance<T>()));
  }
  const auto want = testing::automatic_gradient(
      [&](const std::vector<testing::dual>& in) {
        return formula(in, rows, slots, temperature, g.values());
      },
      x.values());
  // The floor of 1e-2 is for one feature: the cosine is ±1, and the gradient 0 up to rounding.
  const double allowed = testing::tolerance<T>();
  CHECK(testing::relative_error(gradient(policy, x, g), want.gradient, 1e-2) <= allowed);
  const std::vector<double> searched =
      gradient(feaug::soft_neighbour_from(support.view(), how), x, g);
  CHECK(searched == gradient(policy, x, g));
}

TEST_CASE("soft_neighbour is independent of threads and bounded in memory", "[soft_neighbour]") {
  queue_of queue(300, 5, 280);
  const auto x = test_matrix<double>::normal(9000, 5, 1);
  const auto g = test_matrix<double>::normal(9000, 5, 2);
  // 16 neighbours: the slots do not fit into one chunk of rows.
  const auto policy = feaug::soft_neighbour_from(queue.view(), {.k = 16});
  const std::vector<double> out = augmented(policy, x);
  const std::vector<double> dx = gradient(policy, x, g);
  for (const int threads : {2, 3}) {
    CHECK(augmented(policy, x, threads) == out);
    CHECK(gradient(policy, x, g, threads) == dx);
  }
  cpu_context ctx{.threads = 2};
  test_matrix<double> d(9000, 5);
  feaug::augment_backward(ctx, policy, differentiable(x.view(), d.view()), {}, g.view());
  CHECK(ctx.workspace.peak() < (2U << 20U));
}

TEST_CASE("soft_neighbour with few, excluded or no rows", "[soft_neighbour]") {
  queue_of queue(6, 4, 3);
  const auto x = test_matrix<double>::normal(3, 4, 1);
  const auto g = test_matrix<double>::normal(3, 4, 2);
  const double_rows support = rows_of(queue.storage);
  const std::vector<std::int64_t> own = {0, 7, 2};
  std::vector<index_t> found(9, -7);
  const feaug::soft_neighbour three = {.k = 3, .fallback = feaug::neighbour_fallback::query};
  const feaug::soft_neighbour_binding binding = {.exclude_ids = {own.data(), 3},
                                                 .indices = {found.data(), 3, 3}};
  const auto policy = feaug::soft_neighbour_from(queue.view(), three, binding);
  const auto others = [&](const std::vector<std::vector<std::int64_t>>& slots) {
    const std::vector<double> out = augmented(policy, x);
    for (std::size_t e = 0; e < out.size(); ++e) {
      std::vector<double> one(out.size(), 0.0);
      one[e] = 1;
      CHECK(out[e] == Approx(formula(x.values(), support, slots, 0.1, one)).margin(1e-12));
    }
    const auto want = testing::automatic_gradient(
        [&](const std::vector<testing::dual>& in) {
          return formula(in, support, slots, 0.1, g.values());
        },
        x.values());
    CHECK(testing::relative_error(gradient(policy, x, g), want.gradient) < 1e-9);
  };
  SECTION("excluded rows have weight 0") {
    others({{1, 2}, {0, 1, 2}, {0, 1}});
    CHECK(found[2] == -1);
    CHECK(found[8] == -1);
  }
  SECTION("fewer filled rows than k, with fallback") {
    queue.size = queue.cursor = 2;
    others({{1}, {0, 1}, {0, 1}});
  }
  SECTION("no neighbours: unit(x) and its gradient") {
    queue.size = queue.cursor = 0;
    const std::vector<double> out = augmented(policy, x);
    CHECK(found == std::vector<index_t>(9, -1));
    cpu_context ctx{.threads = 1};
    test_matrix<double> unit(3, 4);
    test_matrix<double> d_unit(3, 4);
    feaug::l2_normalize(ctx, x.view(), unit.view());
    feaug::l2_normalize_backward(ctx, differentiable(x.view(), d_unit.view()), g.view());
    CHECK(out == unit.values());
    CHECK(gradient(policy, x, g) == d_unit.values());
    CHECK(gradient(feaug::soft_neighbour_from(queue.view(), three), x, g) == d_unit.values());
  }
}

TEST_CASE("soft_neighbour: edge cases", "[soft_neighbour]") {
  const auto support = test_matrix<float>::normal(6, 4, 1);
  auto x = test_matrix<float>::normal(5, 4, 2);
  const auto g = test_matrix<float>::normal(5, 4, 3);
  const auto policy = feaug::soft_neighbour_from(support.view(), {.k = 2});
  SECTION("zero, tiny and huge rows") {
    x.fill_row(1, 0.0);
    x.fill_row(2, 1e-30);
    x.fill_row(3, -1e18);
    for (const double v : augmented(policy, x)) CHECK(std::isfinite(v));
    const std::vector<double> d = gradient(policy, x, g);
    for (std::size_t j = 0; j < 4; ++j) CHECK((d[4 + j] == 0.0 && d[8 + j] == 0.0));
    for (const double v : d) CHECK(std::isfinite(v));
    // A zero query has cosine 0 with every row: the two lowest slots, with weight ½ each.
    const std::vector<double> out = augmented(policy, x);
    const double_rows rows = rows_of(support);
    for (std::size_t j = 0; j < 4; ++j) {
      CHECK(out[4 + j] ==
            Approx(0.5 * (rows[0][j] / length(rows[0]) + rows[1][j] / length(rows[1])))
                .epsilon(1e-5));
    }
  }
  SECTION("NaN and infinity affect only their row; a non-finite support row is not preferred") {
    x.set(2, 1,
          GENERATE(std::numeric_limits<double>::quiet_NaN(),
                   std::numeric_limits<double>::infinity()));
    const std::vector<double> out = augmented(policy, x);
    const std::vector<double> d = gradient(policy, x, g);
    for (std::size_t e = 0; e < out.size(); ++e) {
      CHECK(std::isnan(out[e]) == (e / 4 == 2));
      CHECK(std::isnan(d[e]) == (e / 4 == 2));
    }
    auto broken = support;
    broken.set(4, 0, std::numeric_limits<double>::quiet_NaN());
    const auto finite = test_matrix<float>::normal(5, 4, 2);
    for (const double v : augmented(feaug::soft_neighbour_from(broken.view(), {.k = 5}), finite))
      CHECK(std::isfinite(v));
    for (const double v : augmented(feaug::soft_neighbour_from(broken.view(), {.k = 6}), finite))
      CHECK(std::isnan(v));
  }
  SECTION("a temperature of 1e-3 gives only the nearest row") {
    const std::vector<double> out =
        augmented(feaug::soft_neighbour_from(support.view(), {.k = 6, .temperature = 1e-4}), x);
    test_matrix<float> nearest(5, 4);
    cpu_context ctx{.threads = 1};
    feaug::nearest(ctx, support.view(), x.view(), {.values = nearest.view()});
    feaug::l2_normalize(ctx, nearest.view(), nearest.view());
    CHECK(testing::relative_error(out, nearest.values()) < 1e-4);
  }
  SECTION("no rows") {
    const test_matrix<float> nothing(0, 4);
    CHECK(augmented(policy, nothing).empty());
    CHECK(gradient(policy, nothing, nothing).empty());
  }
  SECTION("within other policies") {
    const auto by_draw = feaug::one_of({0.5F, 0.5F}, policy, feaug::identity{});
    std::vector<index_t> choice(5);
    cpu_context ctx{.threads = 1};
    feaug::draw(ctx, by_draw, {}, {choice.data(), 5});
    const std::vector<double> out = augmented(by_draw, x);
    const std::vector<double> alone = augmented(policy, x);
    const std::vector<double> d = gradient(by_draw, x, g);
    const std::vector<double> d_alone = gradient(policy, x, g);
    for (std::size_t e = 0; e < out.size(); ++e) {
      const bool soft = choice[e / 4] == 0;
      CHECK(out[e] == (soft ? alone[e] : x.values()[e]));
      CHECK(d[e] == (soft ? d_alone[e] : g.values()[e]));
    }
    const auto masked = feaug::mask{.keep_probability = 0.5F};
    test_matrix<float> half_kept(5, 4);
    feaug::augment(ctx, masked, x.view(), {}, half_kept.view());
    CHECK(augmented(feaug::compose(masked, policy), x) == augmented(policy, half_kept));
  }
}

TEST_CASE("soft_neighbour reports invalid arguments before it writes", "[soft_neighbour][misuse]") {
  queue_of queue(5, 4, 4);
  const auto x = test_matrix<double>::normal(3, 4, 1);
  test_matrix<double> out(3, 4);
  out.fill(9.0);
  cpu_context ctx{.threads = 1};
  const auto forward = [&](const auto& policy) {
    return testing::message_of([&] { feaug::augment(ctx, policy, x.view(), {}, out.view()); });
  };
  const auto backward = [&](const auto& policy) {
    return testing::message_of([&] {
      feaug::augment_backward(ctx, policy, differentiable(x.view(), out.view()), {}, x.view());
    });
  };
  const auto both = [&](const auto& policy, const std::string& wanted) {
    CHECK(forward(policy) == "soft_neighbour: " + wanted);
    CHECK(backward(policy) == "soft_neighbour: " + wanted);
  };
  both(feaug::soft_neighbour_from(queue.view(), {.k = 5}), "k: got 5, wanted a number from 1 to 4");
  both(feaug::soft_neighbour_from(queue.view(),
                                  {.k = 6, .fallback = feaug::neighbour_fallback::query}),
       "k: got 6, wanted a number from 1 to 5");
  both(feaug::soft_neighbour_from(queue.view(), {.k = 0}), "k: got 0, wanted a number from 1 to 5");
  both(feaug::soft_neighbour_from(queue.view(), {.k = 2, .temperature = 0}),
       "temperature: got 0, wanted a finite number above 0");
  const auto narrow = test_matrix<double>::normal(7, 3, 1);
  both(feaug::soft_neighbour_from(narrow.view()), "support: got 3 columns, wanted 4 as x");
  both(feaug::soft_neighbour_from(feaug::matrix_view<const double>(nullptr, 0, 4)),
       "support: got shape (0, 4), wanted at least one row and one column");
  const auto matrix = test_matrix<double>::normal(7, 4, 1);
  const std::vector<std::int64_t> own = {4, 4, 4};
  both(feaug::soft_neighbour_from(matrix.view(), {}, {.exclude_ids = {own.data(), 3}}),
       "exclude_ids: got 3 ids, wanted none, since the rows carry no ids");
  both(feaug::soft_neighbour_from(queue.view(), {.k = 2}, {.exclude_ids = {own.data(), 2}}),
       "exclude_ids: got 2 elements, wanted 3 (one a row)");
  std::vector<index_t> found(6, 4);
  both(feaug::soft_neighbour_from(queue.view(), {.k = 3}, {.indices = {found.data(), 3, 2}}),
       "indices: got shape (3, 2), wanted shape (3, 3) as x and k ask for");
  CHECK(backward(feaug::soft_neighbour_from(queue.view(), {.k = 2},
                                            {.indices = {found.data(), 3, 2}})) ==
        "soft_neighbour: indices: got 4 for row 0, wanted −1 or a filled slot, below 4");
  queue.ids = {4, 4, 4, 4, 4};
  both(feaug::soft_neighbour_from(queue.view(), {.k = 2}, {.exclude_ids = {own.data(), 3}}),
       "exclude_ids: got every filled row excluded for row 0, wanted a neighbour for every row, or "
       "neighbour_fallback::query");
  queue.size = queue.cursor = 0;
  both(feaug::soft_neighbour_from(queue.view(), {.k = 2}),
       "queue: got no filled rows, wanted at least one, or neighbour_fallback::query");
  queue.size = queue.cursor = 4;
  out.fill(9.0);
  auto& storage = queue.storage;
  CHECK(testing::message_of([&] {
          feaug::augment(ctx, feaug::soft_neighbour_from(queue.view(), {.k = 2}), x.view(), {},
                         storage.view().rows_from(0, 3));
        }) ==
        "soft_neighbour: out: got memory that overlaps queue.storage, wanted memory of its own");
  CHECK(testing::message_of([&] {
          feaug::augment_backward(ctx, feaug::soft_neighbour_from(queue.view(), {.k = 2}),
                                  differentiable(x.view(), storage.view().rows_from(0, 3)), {},
                                  x.view());
        }) ==
        "soft_neighbour: gradient of x: got memory that overlaps queue.storage, wanted memory of "
        "its own");
  CHECK(out.values() == std::vector<double>(12, 9.0));
}

}  // namespace soft_neighbour_test
