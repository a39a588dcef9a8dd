// Neighbour policies compared with plain loops: selected rows, outputs, gradients, draws, edge
// cases, error messages.
#include "feaug/cpu/augment/neighbour.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <vector>

#include "augment/neighbour_reference.hpp"
#include "feaug/augment/compose.hpp"
#include "feaug/augment/one_of.hpp"
#include "feaug/cpu/augment/l2_normalize.hpp"
#include "feaug/cpu/augment/mask.hpp"
#include "feaug/cpu/augment/pseudo_neighbour.hpp"
#include "support/automatic_gradient.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace neighbour_test {

using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::mean_neighbour;
using feaug::median_neighbour;
using feaug::mutual_neighbour_of;
using feaug::neighbour;
using feaug::neighbour_from;
using feaug::pseudo_neighbour;
using feaug::pseudo_neighbour_of;
using feaug::random_key;
using feaug::random_neighbour;
using feaug::trimmed_mean_neighbour;
using testing::message_of;
using testing::neighbour_wish;
using testing::test_matrix;

namespace {

constexpr random_key key{.seed = 3, .step = 9, .stream = 4, .row_offset = 2};
constexpr auto to_query = feaug::neighbour_fallback::query;
constexpr auto straight = feaug::neighbour_gradient::straight_through;
const double infinity = std::numeric_limits<double>::infinity();
const double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// A full queue of raw or unit rows.
template <class T>
struct queue_of {
  test_matrix<T> storage;
  bool unit;
  index_t cursor = 0;
  index_t size;
  std::vector<std::int64_t> ids;

  queue_of(index_t capacity, index_t cols, unsigned seed, bool stored_unit = false)
      : storage(test_matrix<T>::normal(capacity, cols, seed, 3)),
        unit(stored_unit),
        size(capacity) {
    cpu_context ctx{.threads = 1};
    if (unit) feaug::l2_normalize(ctx, storage.view(), storage.view());
    for (index_t i = 0; i < capacity; ++i) ids.push_back(i % 5);
  }
  feaug::support_queue<T> view() {
    return {.storage = storage.view(),
            .cursor = &cursor,
            .size = &size,
            .normalize = unit,
            .ids = {ids.data(), storage.rows()}};
  }
  [[nodiscard]] testing::rows_in_double rows() const {
    auto filled = testing::rows_of(storage);
    filled.resize(static_cast<std::size_t>(size));
    return {.rows = filled, .unit = unit, .ids = ids};
  }
};

template <class T, class Policy>
std::vector<double> augmented(const Policy& policy, const test_matrix<T>& x,
                              const random_key& with = key, int threads = 1) {
  cpu_context ctx{.threads = threads};
  test_matrix<T> out(x.rows(), x.cols(), 2);
  feaug::augment(ctx, policy, x.view(), with, out.view());
  CHECK(out.padding_intact());
  return out.values();
}

template <class T, class Policy>
std::vector<double> gradient(const Policy& policy, const test_matrix<T>& x, const test_matrix<T>& g,
                             int threads = 1) {
  cpu_context ctx{.threads = threads};
  test_matrix<T> dx(x.rows(), x.cols(), 1);
  dx.fill(not_a_number);
  feaug::augment_backward(ctx, policy, differentiable(x.view(), dx.view()), key, g.view());
  CHECK(dx.padding_intact());
  return dx.values();
}

/// Compares a policy's output and its indices and slots with those of the plain loops.
template <class T, class How>
void check_made(queue_of<T>& queue, const How& how, const neighbour_wish& wish,
                const test_matrix<T>& x, bool excluding = false) {
  const index_t rows = x.rows();
  std::vector<std::int64_t> own;
  for (index_t i = 0; i < rows; ++i) own.push_back(i % 5);
  std::vector<index_t> indices(static_cast<std::size_t>(rows), -9);
  std::vector<index_t> slots(static_cast<std::size_t>(rows * wish.k), -9);
  feaug::neighbour_binding binding = {.indices = {indices.data(), rows},
                                      .rows_used = {slots.data(), rows, wish.k}};
  if (excluding) binding.exclude_ids = {own.data(), rows};
  const std::vector<double> out = augmented(neighbour_from(queue.view(), how, binding), x);

  const auto queries = testing::rows_of(x);
  const auto support = queue.rows();
  std::vector<double> want;
  std::vector<index_t> want_indices;
  std::vector<index_t> want_slots;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    auto used = testing::wished_slots(support, queries, i, wish, excluding ? &own[i] : nullptr);
    const auto row =
        used.empty() ? testing::unit_of(queries[i]) : testing::made_of(support, used, wish.trim);
    want.insert(want.end(), row.begin(), row.end());
    used.resize(static_cast<std::size_t>(wish.k), -1);
    want_indices.push_back(used[0]);
    want_slots.insert(want_slots.end(), used.begin(), used.end());
  }
  CHECK(indices == want_indices);
  CHECK(slots == want_slots);
  CHECK(testing::relative_error(out, want) <= testing::tolerance<T>() / 100);
}

/// Checks every kind of neighbour with this filter.
template <class T>
void check_all(queue_of<T>& queue, const neighbour_wish& filter, const test_matrix<T>& x,
               bool excluding) {
  CAPTURE(x.rows(), x.cols(), filter.floor, filter.ceiling, filter.mutual, excluding);
  const feaug::similarity_range range = {.floor = filter.floor, .ceiling = filter.ceiling};
  const auto one = [&](const auto& how, index_t k, index_t trim) {
    neighbour_wish wish = filter;
    wish.k = k;
    wish.trim = trim;
    if (filter.mutual > 0) {
      using how_type = std::remove_cvref_t<decltype(how)>;
      check_made(queue, mutual_neighbour_of<how_type>{.of = how, .queries = filter.mutual}, wish, x,
                 excluding);
    } else {
      check_made(queue, how, wish, x, excluding);
    }
  };
  one(trimmed_mean_neighbour{.k = 7, .trim = 2, .fallback = to_query, .similarity = range}, 7, 2);
  if constexpr (std::is_same_v<T, double>) {
    one(neighbour{.fallback = to_query, .similarity = range}, 1, 0);
    one(mean_neighbour{.k = 4, .fallback = to_query, .similarity = range}, 4, 0);
    one(median_neighbour{.k = 5, .fallback = to_query, .similarity = range}, 5, 5);
  }
}

/// The gradient of Σ g·out by central differences.
template <class Policy>
std::vector<double> slopes(const Policy& policy, const test_matrix<double>& x,
                           const test_matrix<double>& g) {
  return testing::central_differences(
      [&](const std::vector<double>& at) {
        test_matrix<double> moved(x.rows(), x.cols());
        for (std::size_t e = 0; e < at.size(); ++e)
          moved.set(static_cast<index_t>(e) / x.cols(), static_cast<index_t>(e) % x.cols(), at[e]);
        const auto out = augmented(policy, moved);
        double sum = 0;
        for (std::size_t e = 0; e < out.size(); ++e) sum += out[e] * g.values()[e];
        return sum;
      },
      x.values());
}

}  // namespace

TEMPLATE_TEST_CASE("neighbour policies select and average the same rows as plain loops",
                   "[augment][neighbour]", double, float) {
  using T = TestType;
  struct size {
    index_t rows, cols, capacity;
  };
  for (const size& s : {size{1, 3, 9}, size{23, 1, 7}, size{17, 5, 31}}) {
    const auto x = test_matrix<T>::normal(s.rows, s.cols, 1, 2);
    queue_of<T> queue(s.capacity, s.cols, 2, s.rows == 17);
    for (const bool excluding : {false, true}) {
      check_all(queue, {.floor = 0.3}, x, excluding);
      check_all(queue, {.floor = 0.1, .mutual = 2}, x, excluding);
      if (s.cols == 1) continue;  // rows are ±1; their mean can cancel to rounding errors
      check_all(queue, {}, x, excluding);
      check_all(queue, {.floor = -0.5, .ceiling = 0.6}, x, excluding);
      check_all(queue, {.mutual = 1}, x, excluding);
      check_all(queue, {.ceiling = 0.8, .mutual = 3}, x, excluding);
    }
    if (s.cols == 1) continue;
    queue.size = 3;  // fewer than k
    queue.cursor = 3;
    check_all(queue, {}, x, false);
    check_all(queue, {.mutual = 2}, x, false);
  }
}

TEMPLATE_TEST_CASE("neighbours of half and bfloat16", "[augment][neighbour]", feaug::half,
                   feaug::bfloat16) {
  const auto x = test_matrix<TestType>::normal(6, 9, 1, 1);
  queue_of<TestType> queue(13, 9, 2);
  const neighbour_wish wish = {.k = 4, .trim = 1, .mutual = 4};
  const mutual_neighbour_of<trimmed_mean_neighbour> how = {.of = {.k = 4, .fallback = to_query},
                                                           .queries = 4};
  cpu_context ctx{.threads = 1};
  const auto out = augmented(neighbour_from(queue.view(), how), x);
  const auto queries = testing::rows_of(x);
  std::vector<double> want;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const auto used = testing::wished_slots(queue.rows(), queries, i, wish);
    const auto row =
        used.empty() ? testing::unit_of(queries[i]) : testing::made_of(queue.rows(), used, 1);
    want.insert(want.end(), row.begin(), row.end());
  }
  CHECK(testing::relative_error(out, want) <= testing::tolerance<TestType>());
  const auto g = test_matrix<TestType>::normal(6, 9, 5);
  const auto dx = gradient(
      neighbour_from(queue.view(), pseudo_neighbour_of<mean_neighbour>{.weight = 0.5F}), x, g);
  for (index_t i = 0; i < 6; ++i) {
    double along = 0;
    for (index_t j = 0; j < 9; ++j) along += dx[static_cast<std::size_t>(i * 9 + j)] * x.get(i, j);
    CHECK(std::abs(along) <= 0.05);  // the gradient through a norm is orthogonal to the row
  }
}

TEST_CASE("outliers change the mean of neighbours, not the median", "[augment][neighbour]") {
  // Seven rows near e0, three of them with a large component along e1; the query is e0.
  queue_of<double> queue(7, 3, 1);
  for (index_t i = 0; i < 7; ++i) {
    queue.storage.fill_row(i, 0);
    queue.storage.set(i, 0, 1);
    queue.storage.set(i, 1, i < 3 ? 0.9 : 0.001 * static_cast<double>(i));
  }
  test_matrix<double> x(1, 3);
  x.set(0, 0, 1);
  const auto mean = augmented(neighbour_from(queue.view(), mean_neighbour{.k = 7}), x);
  const auto trimmed =
      augmented(neighbour_from(queue.view(), trimmed_mean_neighbour{.k = 7, .trim = 3}), x);
  const auto median = augmented(neighbour_from(queue.view(), median_neighbour{.k = 7}), x);
  CHECK(mean[1] > 0.2);
  CHECK(median[1] == Approx(0.006).epsilon(1e-3));
  CHECK(trimmed == median);
}

TEST_CASE("the ceiling excludes copies, the floor excludes dissimilar rows",
          "[augment][neighbour]") {
  const auto x = test_matrix<float>::normal(6, 8, 1);
  queue_of<float> queue(20, 8, 2);
  for (index_t i = 0; i < 6; ++i)
    for (index_t j = 0; j < 8; ++j) queue.storage.set(i, j, 3 * x.get(i, j));
  std::vector<index_t> indices(6);
  const feaug::neighbour_binding tell = {.indices = {indices.data(), 6}};
  augmented(neighbour_from(queue.view(), {}, tell), x);
  CHECK(indices == std::vector<index_t>{0, 1, 2, 3, 4, 5});
  augmented(neighbour_from(queue.view(), {.similarity = {.ceiling = 0.99}}, tell), x);
  for (index_t i = 0; i < 6; ++i) CHECK(indices[static_cast<std::size_t>(i)] != i);
  const auto alone = augmented(
      neighbour_from(queue.view(),
                     {.fallback = to_query, .similarity = {.floor = 0.98, .ceiling = 0.99}}, tell),
      x);
  CHECK(indices == std::vector<index_t>(6, -1));
  cpu_context ctx{.threads = 1};
  test_matrix<float> unit(6, 8);
  feaug::l2_normalize(ctx, x.view(), unit.view());
  CHECK(alone == unit.values());
}

TEST_CASE("a random neighbour is one of the k nearest, selected by its draw",
          "[augment][neighbour][random]") {
  const index_t rows = 200;
  const auto x = test_matrix<float>::normal(rows, 4, 1);
  queue_of<float> queue(30, 4, 2);
  const random_neighbour how{.k = 3};
  std::vector<index_t> near(static_cast<std::size_t>(rows) * 3);
  augmented(
      neighbour_from(queue.view(), mean_neighbour{.k = 3}, {.rows_used = {near.data(), rows, 3}}),
      x);
  std::vector<index_t> taken(static_cast<std::size_t>(rows));
  const auto policy = neighbour_from(queue.view(), how, {.indices = {taken.data(), rows}});
  const auto out = augmented(policy, x);
  std::vector<float> choice(static_cast<std::size_t>(rows));
  cpu_context ctx{.threads = 1};
  feaug::draw(ctx, how, key, {choice.data(), rows});
  std::vector<int> times(3);
  for (std::size_t i = 0; i < choice.size(); ++i) {
    CHECK(choice[i] == feaug::draw_uniform(key, static_cast<index_t>(i), 0));
    const auto rank = static_cast<std::size_t>(std::floor(3.0 * static_cast<double>(choice[i])));
    CHECK(taken[i] == near[i * 3 + rank]);
    ++times[rank];
  }
  for (const int count : times) CHECK(count > rows / 5);
  const feaug::vector_view<const float> given(choice.data(), rows);
  const random_key other{.seed = 77};
  CHECK(augmented(feaug::with_choice(policy, given), x, other) == out);
  CHECK(augmented(policy, x, other) != out);
  // In a pseudo-neighbour, the noise uses the first stream, the choice the next one.
  const auto pseudo = neighbour_from(queue.view(), pseudo_neighbour_of<random_neighbour>{
                                                       .of = how, .weight = 0.3F, .noise = 0.2F});
  test_matrix<float> epsilon(rows, 4);
  feaug::draw(ctx, feaug::gaussian_noise{}, key, epsilon.view());
  feaug::draw(ctx, how, key.streams_later(1), {choice.data(), rows});
  const feaug::matrix_view<const float> noise = epsilon.view();
  CHECK(augmented(feaug::with_noise(feaug::with_choice(pseudo, given), noise), x, other) ==
        augmented(pseudo, x));
  CHECK(feaug::stream_count<std::remove_const_t<decltype(pseudo)>> == 2);
}

TEST_CASE("a pseudo-neighbour agrees with its formula", "[augment][neighbour]") {
  const auto x = test_matrix<double>::normal(7, 5, 1, 1);
  queue_of<double> queue(11, 5, 2);
  cpu_context ctx{.threads = 1};
  test_matrix<double> epsilon(7, 5);
  feaug::draw(ctx, feaug::gaussian_noise{}, key, epsilon.view());
  const auto n = augmented(neighbour_from(queue.view(), mean_neighbour{.k = 3}), x);
  const auto queries = testing::rows_of(x);
  for (const bool normalize : {false, true}) {
    const auto out = augmented(
        neighbour_from(queue.view(),
                       pseudo_neighbour_of<mean_neighbour>{
                           .of = {.k = 3}, .weight = 0.25F, .noise = 0.5F, .normalize = normalize}),
        x);
    std::vector<double> want;
    for (std::size_t i = 0; i < 7; ++i) {
      std::vector<double> row;
      for (std::size_t j = 0; j < 5; ++j) {
        const double e = epsilon.get(static_cast<index_t>(i), static_cast<index_t>(j));
        row.push_back(0.25 * testing::unit_of(queries[i])[j] + 0.75 * n[i * 5 + j] + 0.5 * e);
      }
      if (normalize) row = testing::unit_of(row);
      want.insert(want.end(), row.begin(), row.end());
    }
    CHECK(testing::relative_error(out, want) < 1e-14);
  }
}

TEST_CASE("gradients of neighbours", "[augment][neighbour][gradient]") {
  const auto x = test_matrix<double>::normal(4, 6, 1, 1);
  const auto g = test_matrix<double>::normal(4, 6, 3);
  queue_of<double> queue(9, 6, 2);
  const std::vector<double> zero(24, 0.0);
  CHECK(gradient(neighbour_from(queue.view(), mean_neighbour{}), x, g) == zero);
  CHECK(gradient(neighbour_from(queue.view(), median_neighbour{.gradient = straight}), x, g) ==
        g.values());
  const auto check = [&](const auto& how) {
    const auto policy = neighbour_from(queue.view(), how);
    const auto got = gradient(policy, x, g);
    CHECK(testing::relative_error(got, slopes(policy, x, g)) < 1e-8);
    // A straight-through neighbour adds (1 − weight)·g to the gradient if the result is not
    // normalized.
    auto through = how;
    through.of.gradient = straight;
    const auto with = gradient(neighbour_from(queue.view(), through), x, g);
    if (!how.normalize) {
      for (std::size_t e = 0; e < 24; ++e)
        CHECK(with[e] - got[e] ==
              Approx((1 - static_cast<double>(how.weight)) * g.values()[e]).margin(1e-12));
    } else {
      CHECK(testing::relative_error(with, got) > 0.1);
    }
  };
  check(pseudo_neighbour{.weight = 0.3F});
  check(pseudo_neighbour{.weight = 0.3F, .noise = 0.4F, .normalize = true});
  check(pseudo_neighbour_of<trimmed_mean_neighbour>{.weight = 0.7F, .normalize = true});
  check(pseudo_neighbour_of<random_neighbour>{.weight = 0.5F, .noise = 0.1F, .normalize = true});
  // The gradient of a zero row is 0 here.
  auto broken = x;
  broken.fill_row(2, 0);
  const auto dx =
      gradient(neighbour_from(queue.view(), pseudo_neighbour{.weight = 0.3F}), broken, g);
  for (std::size_t j = 12; j < 18; ++j) CHECK(dx[j] == 0);
}

TEST_CASE("a straight-through pseudo-neighbour's gradient with normalisation",
          "[augment][neighbour][gradient]") {
  // The neighbour counts as x plus a constant: unit(w·unit(x) + (1 − w)·(x + c)).
  const auto x = test_matrix<double>::normal(1, 4, 1);
  const auto g = test_matrix<double>::normal(1, 4, 3);
  queue_of<double> queue(5, 4, 2);
  const auto n = augmented(neighbour_from(queue.view(), neighbour{}), x);
  const auto at_x = x.values();
  const double w = 0.25;
  const auto want = testing::central_differences(
      [&](const std::vector<double>& at) {
        std::vector<double> row = testing::unit_of(at);
        for (std::size_t j = 0; j < 4; ++j)
          row[j] = w * row[j] + (1 - w) * (n[j] + at[j] - at_x[j]);
        return testing::reference_dot(testing::unit_of(row), g.values());
      },
      at_x);
  const pseudo_neighbour how = {.of = {.gradient = straight}, .weight = 0.25F, .normalize = true};
  CHECK(testing::relative_error(gradient(neighbour_from(queue.view(), how), x, g), want) < 1e-8);
}

TEST_CASE("neighbour policies: edge cases", "[augment][neighbour]") {
  queue_of<double> queue(12, 5, 2);
  auto x = test_matrix<double>::normal(9, 5, 1);
  x.set(2, 1, not_a_number);
  x.set(4, 0, infinity);
  x.fill_row(5, 0);
  for (index_t j = 0; j < 5; ++j) x.set(6, j, x.get(6, j) * 1e200);
  queue.storage.fill_row(3, 0);
  queue.storage.set(7, 2, not_a_number);
  for (index_t j = 0; j < 5; ++j) queue.storage.set(8, j, queue.storage.get(8, j) * 1e180);
  const auto all = [&](const auto& check) {
    check(mean_neighbour{.k = 4, .fallback = to_query});
    check(median_neighbour{.k = 4, .fallback = to_query});
    check(mutual_neighbour_of<trimmed_mean_neighbour>{.of = {.fallback = to_query}, .queries = 2});
    check(pseudo_neighbour_of<random_neighbour>{
        .of = {.fallback = to_query}, .weight = 0.5F, .noise = 0.1F, .normalize = true});
  };
  const auto is_nan_row = [](const std::vector<double>& out, std::size_t row) {
    int count = 0;
    for (std::size_t j = 0; j < 5; ++j) count += std::isnan(out[row * 5 + j]) ? 1 : 0;
    CHECK((count == 0 || count == 5));
    return count == 5;
  };
  all([&](const auto& how) {
    const auto out = augmented(neighbour_from(queue.view(), how), x);
    for (std::size_t i = 0; i < 9; ++i) CHECK(is_nan_row(out, i) == (i == 2 || i == 4));
    for (const int threads : {2, 3}) {
      const auto again = augmented(neighbour_from(queue.view(), how), x, key, threads);
      CHECK(testing::relative_error(again, out, 1e-300) == 0);
    }
  });
  // A row of NaN is a neighbour only if there are no other rows; with a floor, never.
  const auto with_nan = augmented(neighbour_from(queue.view(), mean_neighbour{.k = 12}),
                                  test_matrix<double>::normal(2, 5, 4));
  CHECK((is_nan_row(with_nan, 0) && is_nan_row(with_nan, 1)));
  const auto without = augmented(
      neighbour_from(queue.view(), mean_neighbour{.k = 12, .similarity = {.floor = -1.5}}),
      test_matrix<double>::normal(2, 5, 4));
  CHECK_FALSE((is_nan_row(without, 0) || is_nan_row(without, 1)));

  const test_matrix<double> none(0, 5);
  all([&](const auto& how) { CHECK(augmented(neighbour_from(queue.view(), how), none).empty()); });
  queue.size = 0;
  all([&](const auto& how) {
    const auto alone = augmented(neighbour_from(queue.view(), how), x);
    CHECK(is_nan_row(alone, 2));
    CHECK_FALSE(is_nan_row(alone, 6));
  });
}

TEST_CASE("neighbour policies within one_of", "[augment][neighbour]") {
  const auto x = test_matrix<float>::normal(40, 6, 1);
  queue_of<float> queue(15, 6, 2);
  cpu_context ctx{.threads = 2};
  // A mutual neighbour reads all queries; within one_of its rows get the same result as alone.
  const auto mutual = neighbour_from(
      queue.view(), mutual_neighbour_of<mean_neighbour>{
                        .of = {.gradient = straight, .fallback = to_query}, .queries = 2});
  const auto halves = feaug::one_of({0.5F, 0.5F}, feaug::mask{.keep_probability = 0.5F},
                                    feaug::compose(feaug::identity{}, mutual));
  std::vector<index_t> choice(40);
  feaug::draw(ctx, halves, key, {choice.data(), 40});
  const auto alone = augmented(mutual, x);
  const auto mixed = augmented(halves, x);
  const auto g = test_matrix<float>::normal(40, 6, 7);
  const auto dx = gradient(halves, x, g);
  for (std::size_t e = 0; e < mixed.size(); ++e) {
    if (choice[e / 6] == 0) continue;
    CHECK(mixed[e] == alone[e]);
    CHECK(dx[e] == g.values()[e]);
  }
  CHECK(message_of([&] {
          auto same = x;
          feaug::augment(ctx, mutual, same.view(), key, same.view());
        }) == "mutual_neighbour: out: got memory that overlaps x, wanted memory of its own");
}

TEST_CASE("a search in several chunks of queries", "[augment][neighbour]") {
  // 300 rows of 2000 slots each do not fit into one chunk.
  const index_t rows = 300;
  auto x = test_matrix<float>::normal(rows, 2, 1);
  queue_of<float> queue(2000, 2, 2);
  std::vector<std::int64_t> own(static_cast<std::size_t>(rows), 77);
  const mean_neighbour how{.k = 2000, .similarity = {.floor = 0.5}};
  const feaug::neighbour_binding binding = {.exclude_ids = {own.data(), rows}};
  const auto whole = augmented(neighbour_from(queue.view(), how, binding), x);
  for (const index_t i : {index_t{0}, index_t{261}, index_t{262}, index_t{299}}) {
    test_matrix<float> one(1, 2);
    for (index_t j = 0; j < 2; ++j) one.set(0, j, x.get(i, j));
    const auto alone = augmented(neighbour_from(queue.view(), how), one);
    CHECK(alone[0] == whole[static_cast<std::size_t>(i * 2)]);
  }
  // The last row has no neighbour: an error, and nothing is written.
  queue.ids.assign(2000, 5);
  own.back() = 5;
  cpu_context ctx{.threads = 1};
  test_matrix<float> out(rows, 2);
  const std::string message = message_of([&] {
    feaug::augment(ctx, neighbour_from(queue.view(), how, binding), x.view(), key, out.view());
  });
  CHECK(message ==
        "mean_neighbour: queue: got every filled row passed over for row 299, wanted a neighbour "
        "for every row, or neighbour_fallback::query");
  CHECK(out.values() == std::vector<double>(600, 0.0));
  CHECK(ctx.workspace.peak() < (std::size_t{16} << 20));
}

TEST_CASE("neighbour policies reject invalid options", "[augment][neighbour][misuse]") {
  queue_of<float> queue(9, 5, 2);
  const auto x = test_matrix<float>::normal(3, 5, 1);
  cpu_context ctx{.threads = 1};
  const auto says = [&](const auto& policy, const std::string& wanted) {
    test_matrix<float> out(3, 5);
    CHECK(message_of([&] { feaug::augment(ctx, policy, x.view(), key, out.view()); }) == wanted);
    CHECK(message_of([&] {
            feaug::augment_backward(ctx, policy, differentiable(x.view(), out.view()), key,
                                    x.view());
          }) == wanted);
    CHECK(out.values() == std::vector<double>(15, 0.0));
  };
  const auto from = [&](const auto& how, const feaug::neighbour_binding& binding = {}) {
    return neighbour_from(queue.view(), how, binding);
  };
  says(from(mean_neighbour{.k = 0}), "mean_neighbour: k: got 0, wanted a number from 1 to 9");
  says(from(median_neighbour{.k = 10}), "median_neighbour: k: got 10, wanted a number from 1 to 9");
  says(from(random_neighbour{.k = -1}), "random_neighbour: k: got -1, wanted a number from 1 to 9");
  says(from(trimmed_mean_neighbour{.k = 0}),
       "trimmed_mean_neighbour: k: got 0, wanted a number from 1 to 9");
  says(from(trimmed_mean_neighbour{.k = 4, .trim = 2}),
       "trimmed_mean_neighbour: trim: got 2, wanted a number from 0 to 1");
  says(from(trimmed_mean_neighbour{.trim = -1}),
       "trimmed_mean_neighbour: trim: got -1, wanted a number from 0 to 2");
  says(from(neighbour{.similarity = {.floor = not_a_number}}),
       "neighbour: similarity.floor: got nan, wanted a number, or -infinity for none");
  says(
      from(neighbour{.similarity = {.floor = 0.5, .ceiling = 0.25}}),
      "neighbour: similarity.ceiling: got 0.25, wanted a number of at least similarity.floor, 0.5");
  says(from(mutual_neighbour_of<trimmed_mean_neighbour>{.of = {.trim = 9}}),
       "mutual_neighbour: trim: got 9, wanted a number from 0 to 2");
  says(from(feaug::mutual_neighbour{.queries = 0}),
       "mutual_neighbour: queries: got 0, wanted a number of at least 1");
  says(from(pseudo_neighbour{.weight = 1.5F}),
       "pseudo_neighbour: weight: got 1.5, wanted a number from 0 to 1");
  says(from(pseudo_neighbour{.noise = -1}),
       "pseudo_neighbour: noise: got -1, wanted a finite number of at least 0");
  says(from(pseudo_neighbour_of<mean_neighbour>{.of = {.k = 99}}),
       "pseudo_neighbour: k: got 99, wanted a number from 1 to 9");
  std::vector<index_t> slots(15);
  says(
      from(mean_neighbour{.k = 4}, {.rows_used = {slots.data(), 3, 5}}),
      "mean_neighbour: rows_used: got shape (3, 5), wanted shape (3, 4) as the rows and k ask for");
  std::vector<float> choice = {0.5F, 1.0F, 0.0F};
  says(feaug::with_choice(from(random_neighbour{}), {choice.data(), 2}),
       "random_neighbour: choice: got 2 elements, wanted 3 (one a row)");
  says(feaug::with_choice(from(random_neighbour{}), {choice.data(), 3}),
       "random_neighbour: choice: got 1 in row 1, wanted a number from 0 to below 1");
  says(feaug::with_noise(from(pseudo_neighbour{}), {x.view().data, 3, 4}),
       "pseudo_neighbour: epsilon: got shape (3, 4), wanted shape (3, 5) as x");
  says(feaug::with_noise(from(pseudo_neighbour{}), {nullptr, 3, 5}),
       "pseudo_neighbour: epsilon: got a null pointer with shape (3, 5), wanted a pointer to its "
       "elements");
  CHECK(message_of([&] {
          auto epsilon = x;
          feaug::augment(ctx,
                         feaug::with_noise(from(pseudo_neighbour{}),
                                           feaug::matrix_view<const float>(epsilon.view())),
                         x.view(), key, epsilon.view());
        }) == "pseudo_neighbour: out: got memory that overlaps epsilon, wanted memory of its own");
  CHECK(message_of([&] {
          test_matrix<float> out(3, 5);
          feaug::augment(ctx,
                         from(feaug::mutual_neighbour{.of = {.similarity = {.floor = 0.9999}}}),
                         x.view(), key, out.view());
        }) ==
        "mutual_neighbour: queue: got every filled row passed over for row 0, wanted a neighbour "
        "for every row, or neighbour_fallback::query");
  CHECK(message_of([&] {
          feaug::draw(ctx, random_neighbour{}, key, feaug::vector_view<float>(nullptr, 3));
        }) == "draw: choice: got a null pointer with shape (3), wanted a pointer to its elements");
}

}  // namespace neighbour_test
