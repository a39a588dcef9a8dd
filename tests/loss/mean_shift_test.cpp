// mean_shift: formula, edge cases.
#include "feaug/cpu/loss/mean_shift.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "loss/formula.hpp"
#include "queue/nearest_reference.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace mean_shift_test {

using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::reduce;
using testing::test_matrix;

namespace {

/// The slots of every target's k nearest rows, −1 after the last.
std::vector<std::vector<index_t>> found_slots(const auto& in) {
  testing::rows_in_double support = {.rows = in.constant("support").row};
  support.rows.resize(static_cast<std::size_t>(testing::filled_rows(in)));
  std::vector<std::int64_t> own;
  if (in.has("ids")) {
    support.ids = testing::ids_of(in, "ids");
    own = testing::ids_of(in, "exclude_ids");
  }
  const auto targets = in.constant("targets");
  std::vector<std::vector<index_t>> slots;
  for (index_t i = 0; i < targets.size(); ++i) {
    const std::int64_t* const excluded = own.empty() ? nullptr : &own[static_cast<std::size_t>(i)];
    slots.push_back(
        testing::nearest_reference(support, targets[i], in.option("k", index_t{5}), excluded)
            .indices);
  }
  return slots;
}

const testing::registered_formula formula(
    "mean_shift", {"prediction"}, []<class S>(const testing::formula_inputs<S>& in) {
      const auto p = testing::directions(in.matrix("prediction"));
      const auto v = testing::directions(in.matrix("support"));
      const auto slots = found_slots(in);
      std::vector<S> losses;
      for (index_t i = 0; i < p.size(); ++i) {
        S sum = p[i][0] * 0.0;
        double found = 0;
        for (const index_t slot : slots[static_cast<std::size_t>(i)]) {
          if (slot < 0) continue;
          sum += testing::dot(p[i], v[slot]) * -2.0 + 2.0;
          ++found;
        }
        losses.push_back(sum / found);
      }
      return losses;
    });

[[maybe_unused]] const bool has_slots = [] {
  testing::formulas().at("mean_shift").slots = [](const testing::formula_inputs<double>& in) {
    std::vector<double> all;
    for (const std::vector<index_t>& row : found_slots(in))
      all.insert(all.end(), row.begin(), row.end());
    return all;
  };
  return true;
}();

struct queue_of {
  test_matrix<float> storage;
  index_t cursor = 0;
  index_t size;
  std::vector<std::int64_t> ids;

  queue_of(index_t capacity, index_t cols, index_t filled)
      : storage(test_matrix<float>::normal(capacity, cols, 77)),
        cursor(filled % capacity),
        size(filled) {
    for (index_t slot = 0; slot < capacity; ++slot) ids.push_back(slot);
    for (index_t slot = filled; slot < capacity; ++slot)
      storage.fill_row(slot, std::numeric_limits<double>::quiet_NaN());
  }
  feaug::support_queue<float> view() {
    return {.storage = storage.view(),
            .cursor = &cursor,
            .size = &size,
            .normalize = false,
            .ids = {ids.data(), storage.rows()}};
  }
};

}  // namespace

TEST_CASE("mean_shift searches in chunks of bounded memory", "[mean_shift]") {
  const auto p = test_matrix<float>::normal(9000, 3, 1);
  queue_of queue(40, 3, 30);
  cpu_context ctx{.threads = 3};
  test_matrix<float> dp(9000, 3);
  feaug::mean_shift_with_gradients(ctx, differentiable(p.view(), dp.view()), p.view(), queue.view(),
                                   {.k = 16});
  CHECK(ctx.workspace.peak() < (2U << 20U));
}

TEST_CASE("mean_shift: edge cases", "[mean_shift]") {
  cpu_context ctx{.threads = 1};
  queue_of queue(6, 4, 3);
  auto p = test_matrix<float>::normal(4, 4, 1);
  auto targets = test_matrix<float>::normal(4, 4, 2);
  test_matrix<float> dp(4, 4);
  std::vector<float> losses(4);
  std::vector<index_t> found(12, -7);
  const feaug::matrix_view<index_t> indices(found.data(), 4, 3);
  feaug::mean_shift_options<float> options = {.k = 3, .reduction = reduce::none};
  const auto run = [&] {
    feaug::mean_shift(ctx, p.view(), targets.view(), queue.view(), {losses.data(), 4}, options,
                      indices);
    feaug::mean_shift_with_gradients(ctx, differentiable(p.view(), dp.view()), targets.view(),
                                     queue.view(), {losses.data(), 4}, options);
  };
  SECTION("excluded rows are left out of the mean") {
    const std::vector<std::int64_t> own = {1, 9, 0, 2};
    options.exclude_ids = {own.data(), 4};
    run();
    const std::vector<std::vector<index_t>> slots = {{0, 2}, {0, 1, 2}, {1, 2}, {0, 1}};
    const testing::rows_of<double> of_p(p.values(), 0, 4, 4);
    const testing::rows_of<double> rows(queue.storage.values(), 0, 6, 4);
    for (index_t i = 0; i < 4; ++i) {
      const auto& others = slots[static_cast<std::size_t>(i)];
      double sum = 0;
      for (const index_t slot : others) sum += 2 - 2 * testing::cosine(of_p[i], rows[slot]);
      CHECK(losses[static_cast<std::size_t>(i)] ==
            Approx(sum / static_cast<double>(others.size())).epsilon(1e-5));
    }
    CHECK((found[2] == -1 && found[5] != -1 && found[8] == -1 && found[11] == -1));
  }
  SECTION("a row equal to its only neighbour has loss 0 and gradient 0") {
    for (index_t j = 0; j < 4; ++j) {
      p.set(1, j, queue.storage.get(2, j));
      targets.set(1, j, 2.0 * queue.storage.get(2, j));
    }
    options.k = 1;
    found.resize(4);
    feaug::mean_shift_with_gradients(ctx, differentiable(p.view(), dp.view()), targets.view(),
                                     queue.view(), {losses.data(), 4}, options);
    CHECK(std::abs(losses[1]) < 1e-6F);
    for (index_t j = 0; j < 4; ++j) CHECK(std::abs(dp.get(1, j)) < 1e-6);
  }
  SECTION("zero, tiny and huge rows") {
    p.fill_row(0, 0.0);
    p.fill_row(1, 1e-30);
    p.fill_row(2, 1e18);
    targets.fill_row(3, 0.0);
    queue.storage.fill_row(1, -1e18);
    run();
    for (const float loss : losses) CHECK(std::isfinite(loss));
    for (const double v : dp.values()) CHECK(std::isfinite(v));
    CHECK(losses[0] == 2.0F);
    for (index_t j = 0; j < 4; ++j) CHECK((dp.get(0, j) == 0.0 && dp.get(1, j) == 0.0));
  }
  SECTION("NaN and infinity affect the rows that read them") {
    const double bad =
        GENERATE(std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity());
    targets.set(2, 1, bad);
    p.set(3, 0, bad);
    run();
    for (index_t i = 0; i < 4; ++i) {
      CHECK(std::isnan(losses[static_cast<std::size_t>(i)]) == (i >= 2));
      for (index_t j = 0; j < 4; ++j) CHECK(std::isnan(dp.get(i, j)) == (i >= 2));
    }
    for (index_t rank = 0; rank < 3; ++rank) CHECK(indices(2, rank) == -1);
    // The backward pass from the returned slots gives the same.
    test_matrix<float> again(4, 4);
    const std::vector<float> ones(4, 1.0F);
    feaug::mean_shift_backward(ctx, differentiable(p.view(), again.view()), queue.view(), indices,
                               {ones.data(), 4}, options);
    CHECK(testing::relative_error(again.values(), dp.values()) == 0.0);
    queue.storage.set(1, 0, bad);
    run();  // every query reads all three rows
    for (const float loss : losses) CHECK(std::isnan(loss));
  }
}

TEST_CASE("mean_shift_backward rejects unfilled slots", "[mean_shift]") {
  cpu_context ctx{.threads = 1};
  queue_of queue(6, 3, 5);
  const auto p = test_matrix<float>::normal(4, 3, 1);
  test_matrix<float> dp(4, 3);
  dp.fill(5.0);
  const float one = 1;
  const std::vector<index_t> found = {0, 0, 0, 5, 0, 0, 0, 0};
  CHECK(testing::message_of([&] {
          feaug::mean_shift_backward(ctx, differentiable(p.view(), dp.view()), queue.view(),
                                     feaug::matrix_view<const index_t>(found.data(), 4, 2),
                                     feaug::scalar(one), {.k = 2});
        }) == "mean_shift_backward: indices: got 5 for row 1, wanted −1 or a filled slot, below 5");
  CHECK(dp.values() == std::vector<double>(12, 5.0));
}

}  // namespace mean_shift_test
