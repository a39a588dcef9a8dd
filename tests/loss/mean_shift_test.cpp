// mean_shift against its formula, automatic differentiation and central differences; and at the
// edges.
#include "feaug/cpu/loss/mean_shift.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "loss/reference.hpp"
#include "queue/nearest_reference.hpp"
#include "support/automatic_gradient.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace mean_shift_test {

using feaug::compute_t;
using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::reduce;
using feaug::stop_gradient;
using feaug::vector_view;
using testing::test_matrix;

namespace {

using slots_type = std::vector<std::vector<std::int64_t>>;

slots_type neighbours_of(const std::vector<double>& targets, const std::vector<double>& support,
                         index_t rows, index_t cols, index_t k) {
  const auto count = static_cast<index_t>(support.size()) / cols;
  const testing::rows_of<double> queries(targets, 0, rows, cols);
  slots_type slots;
  for (index_t i = 0; i < rows; ++i) {
    slots.push_back(
        testing::nearest_reference({.rows = testing::rows_of<double>(support, 0, count, cols).row},
                                   queries[i], k)
            .indices);
  }
  return slots;
}

/// Row losses, as the formula stands.
template <class S>
std::vector<S> formula(const std::vector<S>& prediction, const std::vector<double>& support,
                       const slots_type& slots, index_t cols) {
  const auto rows = static_cast<index_t>(slots.size());
  const testing::rows_of<S> p(prediction, 0, rows, cols);
  std::vector<S> constants;  // with as many derivatives as the others have
  constants.reserve(support.size());
  for (const double value : support) constants.push_back(value + 0.0 * prediction[0]);
  const testing::rows_of<S> v(constants, 0, static_cast<index_t>(support.size()) / cols, cols);
  std::vector<S> losses;
  for (index_t i = 0; i < rows; ++i) {
    const auto& found = slots[static_cast<std::size_t>(i)];
    S sum = 0.0 * p[i][0];
    for (const std::int64_t slot : found) sum += 2.0 - 2.0 * testing::cosine(p[i], v[slot]);
    losses.push_back(sum / static_cast<double>(found.size()));
  }
  return losses;
}

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

TEMPLATE_TEST_CASE("mean_shift and its gradient are the formula's", "[mean_shift]", double, float,
                   feaug::half, feaug::bfloat16) {
  using T = TestType;
  using C = compute_t<T>;
  struct shape {
    index_t rows, cols, support, k;
  };
  const shape at =
      GENERATE(shape{1, 1, 1, 1}, shape{5, 7, 9, 3}, shape{4, 3, 5, 5}, shape{2, 17, 40, 4});
  const reduce reduction = GENERATE(reduce::mean, reduce::sum, reduce::none);
  CAPTURE(at.rows, at.cols, at.support, at.k, static_cast<int>(reduction));
  const auto p = test_matrix<T>::normal(at.rows, at.cols, 1, 3);
  const auto targets = test_matrix<T>::normal(at.rows, at.cols, 2, 1);
  const auto support = test_matrix<T>::normal(at.support, at.cols, 3, 2);
  const slots_type slots =
      neighbours_of(targets.values(), support.values(), at.rows, at.cols, at.k);
  std::vector<double> weights(static_cast<std::size_t>(at.rows),
                              reduction == reduce::mean ? 1.0 / static_cast<double>(at.rows) : 1.0);
  std::vector<C> cotangent = {C{1}};
  if (reduction == reduce::none) {
    cotangent.clear();
    for (double& weight : weights) {
      cotangent.push_back(static_cast<C>(0.5 * static_cast<double>(cotangent.size()) - 0.75));
      weight = static_cast<double>(cotangent.back());
    }
  }
  const auto weighted = [&]<class S>(const std::vector<S>& in) {
    return testing::weighted(formula(in, support.values(), slots, at.cols), weights);
  };
  const auto want = testing::automatic_gradient(
      [&](const std::vector<testing::dual>& in) { return weighted(in); }, p.values());
  if (std::is_same_v<T, double>) {
    const auto slopes = testing::central_differences(
        [&](const std::vector<double>& in) { return weighted(in); }, p.values());
    CHECK(testing::relative_error(want.gradient, slopes) < 1e-5);
  }
  const double allowed = testing::tolerance<T>();
  const feaug::mean_shift_options<T> options = {.k = at.k, .reduction = reduction};
  test_matrix<T> dp(at.rows, at.cols, 2);
  const auto gradient = [&] {
    const std::vector<double> all = dp.values();
    dp.fill(std::numeric_limits<double>::quiet_NaN());
    return all;
  };
  const index_t outputs = reduction == reduce::none ? at.rows : 1;
  std::vector<C> loss(static_cast<std::size_t>(outputs));
  const vector_view<C> loss_view(loss.data(), outputs);
  std::vector<index_t> found(static_cast<std::size_t>(at.rows * at.k), -7);
  const feaug::matrix_view<index_t> indices(found.data(), at.rows, at.k);
  cpu_context ctx{.threads = 2};
  feaug::mean_shift(ctx, p.view(), targets.view(), support.view(), loss_view, options, indices);
  for (index_t i = 0; i < at.rows; ++i) {
    for (index_t r = 0; r < at.k; ++r)
      CHECK(indices(i, r) == slots[static_cast<std::size_t>(i)][static_cast<std::size_t>(r)]);
  }
  double total = 0;
  for (std::size_t i = 0; i < loss.size(); ++i)
    total += static_cast<double>(loss[i]) * (reduction == reduce::none ? weights[i] : 1.0);
  CHECK(total == Approx(want.value).epsilon(allowed).margin(allowed));
  feaug::mean_shift_backward(ctx, differentiable(p.view(), dp.view()), support.view(), indices,
                             vector_view<const C>(cotangent.data(), outputs), options);
  CHECK(dp.padding_intact());
  CHECK(testing::relative_error(gradient(), want.gradient, 1e-2) < allowed);
  if (reduction == reduce::none) return;
  const C again = feaug::mean_shift_with_gradients(ctx, differentiable(p.view(), dp.view()),
                                                   targets.view(), support.view(), options);
  CHECK(again == loss[0]);
  CHECK(testing::relative_error(gradient(), want.gradient, 1e-2) < allowed);
}

TEST_CASE("mean_shift: threads, weights, accumulation, gradient scale, scratch", "[mean_shift]") {
  const auto p = test_matrix<float>::normal(9000, 3, 1);
  const auto targets = test_matrix<float>::normal(9000, 3, 2);
  queue_of queue(40, 3, 30);
  std::vector<double> first;
  std::vector<float> losses(9000);
  for (int threads = 1; threads <= 3; ++threads) {
    cpu_context ctx{.threads = threads};
    test_matrix<float> dp(9000, 3);
    // 16 neighbours: more slots than are found at once.
    feaug::mean_shift_with_gradients(ctx, differentiable(p.view(), dp.view()), targets.view(),
                                     queue.view(), {losses.data(), 9000},
                                     {.k = 16, .reduction = reduce::none});
    std::vector<double> all = dp.values();
    all.insert(all.end(), losses.begin(), losses.end());
    if (first.empty()) first = all;
    CHECK(all == first);
    CHECK(ctx.workspace.peak() < (2U << 20U));
  }
  cpu_context ctx{.threads = 1};
  std::vector<float> weights(9000);
  double want = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    weights[i] = static_cast<float>(i % 5) - 1.5F;
    want += static_cast<double>(weights[i]) * static_cast<double>(losses[i]) / 9000;
  }
  test_matrix<float> dp(9000, 3);
  dp.fill(1.0);
  const float loss = feaug::mean_shift_with_gradients(
      ctx, feaug::accumulate(p.view(), dp.view()), targets.view(), queue.view(),
      {.k = 16, .gradient_scale = 9000, .row_weights = {weights.data(), 9000}});
  CHECK(loss == Approx(want).epsilon(1e-4));
  for (std::size_t e = 0; e < 27000; e += 101) {
    CHECK(dp.values()[e] ==
          Approx(1.0 + static_cast<double>(weights[e / 3]) * first[e]).margin(1e-5));
  }
  // A stopped prediction: the loss alone.
  const float alone =
      feaug::mean_shift_with_gradients(ctx, stop_gradient(p.view()), targets.view(), queue.view(),
                                       {.k = 16, .row_weights = {weights.data(), 9000}});
  CHECK(alone == loss);
}

TEST_CASE("mean_shift at the edges", "[mean_shift]") {
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
  SECTION("excluded rows: the mean is over the others") {
    const std::vector<std::int64_t> own = {1, 9, 0, 2};
    options.exclude_ids = {own.data(), 4};
    run();
    const slots_type slots = {{0, 2}, {0, 1, 2}, {1, 2}, {0, 1}};
    const auto want = formula(p.values(), queue.storage.values(), slots, 4);
    CHECK(testing::relative_error({losses.begin(), losses.end()}, want) < 1e-5);
    CHECK((found[2] == -1 && found[5] != -1 && found[8] == -1 && found[11] == -1));
  }
  SECTION("a row that is its own neighbour has loss 0, and gradient 0") {
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
  SECTION("NaN and infinity reach the rows that read them") {
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
    // The same from the slots that were handed out.
    test_matrix<float> again(4, 4);
    const std::vector<float> ones(4, 1.0F);
    feaug::mean_shift_backward(ctx, differentiable(p.view(), again.view()), queue.view(), indices,
                               {ones.data(), 4}, options);
    CHECK(testing::relative_error(again.values(), dp.values()) == 0.0);
    queue.storage.set(1, 0, bad);
    run();  // all three rows are read by all
    for (const float loss : losses) CHECK(std::isnan(loss));
  }
}

TEST_CASE("mean_shift names what is wrong, before it writes", "[mean_shift]") {
  cpu_context ctx{.threads = 1};
  queue_of queue(6, 3, 5);
  const auto p = test_matrix<float>::normal(4, 3, 1);
  const auto t = test_matrix<float>::normal(4, 3, 2);
  test_matrix<float> dp(4, 3);
  dp.fill(5.0);
  std::vector<float> loss(4, 5.0F);
  std::vector<float> ones(4, 1.0F);
  std::vector<index_t> found(8, 0);
  feaug::operand<float> x = differentiable(p.view(), dp.view());
  feaug::matrix_view<const float> targets = t.view();
  feaug::support_rows<float> support = queue.view();
  vector_view<float> loss_view(loss.data(), 1);
  vector_view<const float> cotangent(ones.data(), 1);
  feaug::matrix_view<index_t> indices(found.data(), 4, 2);
  feaug::mean_shift_options<float> options = {.k = 2};
  const auto forward = [&] {
    return testing::message_of(
        [&] { feaug::mean_shift(ctx, x.value, targets, support, loss_view, options, indices); });
  };
  const auto backward = [&] {
    return testing::message_of(
        [&] { feaug::mean_shift_backward(ctx, x, support, indices, cotangent, options); });
  };
  const auto at_once = [&] {
    return testing::message_of(
        [&] { feaug::mean_shift_with_gradients(ctx, x, targets, support, loss_view, options); });
  };
  const auto check_search = [&](const std::string& wanted) {
    CHECK(forward() == "mean_shift: " + wanted);
    CHECK(at_once() == "mean_shift_with_gradients: " + wanted);
  };
  const auto check_all = [&](const std::string& wanted) {
    check_search(wanted);
    CHECK(backward() == "mean_shift_backward: " + wanted);
  };
  SECTION("prediction") {
    x.value.data = nullptr;
    check_all("prediction: got a null pointer with shape (4, 3), wanted a pointer to its elements");
    x = stop_gradient(feaug::matrix_view<const float>(p.view().data, 0, 3));
    check_all("prediction: got shape (0, 3), wanted at least one row and one column");
    x = differentiable(p.view(), queue.storage.view().rows_from(0, 4));
    CHECK(at_once() ==
          "mean_shift_with_gradients: gradient of prediction: got memory that overlaps "
          "queue.storage, wanted memory of its own");
    x = differentiable(p.view(), dp.view());
    targets = dp.view();
    CHECK(at_once() ==
          "mean_shift_with_gradients: gradient of prediction: got memory that overlaps targets, "
          "wanted memory of its own");
  }
  SECTION("targets and support") {
    targets = t.view().rows_from(0, 3);
    check_search("targets: got shape (3, 3), wanted shape (4, 3) as prediction");
    targets = t.view();
    const auto narrow = test_matrix<float>::normal(5, 2, 1);
    support = narrow.view();
    check_all("support: got 2 columns, wanted 3 as prediction");
    queue.size = queue.cursor = 0;
    support = queue.view();
    check_all("queue: got no filled rows, wanted at least one to find");
  }
  SECTION("k, ids, slots") {
    options.k = 6;
    check_all("k: got 6, wanted a number from 1 to 5");
    options.k = 3;
    CHECK(forward() ==
          "mean_shift: indices: got shape (4, 2), wanted shape (4, 3) as prediction and k ask "
          "for");
    CHECK(backward() ==
          "mean_shift_backward: indices: got shape (4, 2), wanted shape (4, 3) as prediction and "
          "k ask for");
    options.k = 2;
    found[3] = 5;
    CHECK(backward() ==
          "mean_shift_backward: indices: got 5 for row 1, wanted −1 or a filled slot, below 5");
    const std::vector<std::int64_t> own = {8, 8, 8, 8};
    options.exclude_ids = {own.data(), 3};
    check_search("exclude_ids: got 3 elements, wanted 4 (one a row)");
    options.exclude_ids = {own.data(), 4};
    queue.ids = {8, 8, 8, 8, 8, 1};
    check_search(
        "exclude_ids: got every filled row excluded for row 0, wanted a neighbour for every "
        "target");
  }
  SECTION("numbers, loss, cotangent") {
    options.gradient_scale = std::numeric_limits<double>::infinity();
    check_all("gradient_scale: got inf, wanted a finite number");
    options.gradient_scale = 1;
    options.row_weights = {ones.data(), 3};
    check_all("row_weights: got 3 elements, wanted 4 (one a row of the loss)");
    options.row_weights = {};
    loss_view = {loss.data(), 2};
    check_search("loss: got 2 elements, wanted 1 (the reduced loss)");
    cotangent = {};
    CHECK(backward() ==
          "mean_shift_backward: cotangent: got no elements, wanted one, or one a row with "
          "reduce::none");
    const std::string wanted =
        "reduction: got none, wanted mean or sum, or a view for a loss a row";
    options.reduction = reduce::none;
    CHECK(testing::message_of([&] {
            feaug::mean_shift(ctx, x.value, targets, support, options);
          }) == "mean_shift: " + wanted);
    CHECK(testing::message_of([&] {
            feaug::mean_shift_with_gradients(ctx, x, targets, support, options);
          }) == "mean_shift_with_gradients: " + wanted);
  }
  CHECK(dp.values() == std::vector<double>(12, 5.0));
  CHECK(loss == std::vector<float>(4, 5.0F));
}

}  // namespace mean_shift_test
