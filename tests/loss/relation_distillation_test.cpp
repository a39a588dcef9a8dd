// relation_distillation against its formula, automatic differentiation and central differences; and
// at the edges.
#include "feaug/cpu/loss/relation_distillation.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "loss/reference.hpp"
#include "support/automatic_gradient.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace relation_distillation_test {

using feaug::compute_t;
using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::reduce;
using feaug::stop_gradient;
using feaug::vector_view;
using testing::test_matrix;

namespace {

/// Row losses, as the formula stands. `excluded(i, j)`: row j of the support is not for query i.
template <class S, class Excluded>
std::vector<S> formula(const std::vector<S>& queries, const std::vector<double>& keys,
                       const std::vector<double>& support, index_t cols, double temperature,
                       double teacher_temperature, bool normalize, const Excluded& excluded) {
  const auto rows = static_cast<index_t>(keys.size()) / cols;
  const auto columns = static_cast<index_t>(support.size()) / cols;
  const testing::rows_of<S> q(queries, 0, rows, cols);
  const testing::rows_of<double> k(keys, 0, rows, cols);
  const testing::rows_of<double> v(support, 0, columns, cols);
  std::vector<S> constants;  // with as many derivatives as the others have
  constants.reserve(support.size());
  for (const double value : support) constants.push_back(value + 0.0 * queries[0]);
  const testing::rows_of<S> u(constants, 0, columns, cols);
  std::vector<S> losses;
  for (index_t i = 0; i < rows; ++i) {
    std::vector<S> student;
    std::vector<double> teacher;
    for (index_t j = 0; j < columns; ++j) {
      if (excluded(i, j)) continue;
      student.push_back(testing::cosine(q[i], u[j], normalize) * (1 / temperature));
      teacher.push_back(testing::cosine(k[i], v[j], normalize) / teacher_temperature);
    }
    const S log_sum = testing::log_sum_exp(student);
    const double teacher_sum = testing::log_sum_exp(teacher);
    S loss = 0.0 * queries[0];
    for (std::size_t j = 0; j < student.size(); ++j)
      loss += std::exp(teacher[j] - teacher_sum) * (log_sum - student[j]);
    losses.push_back(loss);
  }
  return losses;
}

const auto all = [](index_t, index_t) { return false; };

/// A queue whose last rows are not filled.
template <class T>
struct queue_of {
  test_matrix<T> storage;
  index_t cursor;
  index_t size;
  std::vector<std::int64_t> ids;

  queue_of(index_t capacity, index_t cols, index_t filled)
      : storage(test_matrix<T>::normal(capacity, cols, 77, 1)),
        cursor(filled % capacity),
        size(filled) {
    for (index_t slot = 0; slot < capacity; ++slot) ids.push_back(slot % 3);
    for (index_t slot = filled; slot < capacity; ++slot)
      storage.fill_row(slot, std::numeric_limits<double>::quiet_NaN());
  }
  feaug::support_queue<T> view(bool normalize = false) {
    return {.storage = storage.view(),
            .cursor = &cursor,
            .size = &size,
            .normalize = normalize,
            .ids = {ids.data(), storage.rows()}};
  }
  [[nodiscard]] std::vector<double> filled() const {
    const std::vector<double> values = storage.values();
    return {values.begin(), values.begin() + size * storage.cols()};
  }
};

}  // namespace

TEMPLATE_TEST_CASE("relation_distillation and its gradient are the formula's",
                   "[relation_distillation]", double, float, feaug::half, feaug::bfloat16) {
  using T = TestType;
  using C = compute_t<T>;
  struct shape {
    index_t rows, cols, capacity, filled;
  };
  const shape at = GENERATE(shape{1, 1, 1, 1}, shape{5, 7, 9, 6}, shape{3, 4, 40, 40});
  const reduce reduction = GENERATE(reduce::mean, reduce::sum, reduce::none);
  const bool normalize = GENERATE(true, false);
  CAPTURE(at.rows, at.cols, at.capacity, at.filled, static_cast<int>(reduction), normalize);
  const auto q = test_matrix<T>::normal(at.rows, at.cols, 1, 3);
  const auto k = test_matrix<T>::normal(at.rows, at.cols, 2, 1);
  queue_of<T> queue(at.capacity, at.cols, at.filled);
  const std::vector<double> support = queue.filled();
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
    return testing::weighted(formula(in, k.values(), support, at.cols, 0.5, 0.2, normalize, all),
                             weights);
  };
  const auto want = testing::automatic_gradient(
      [&](const std::vector<testing::dual>& in) { return weighted(in); }, q.values());
  if (std::is_same_v<T, double>) {
    const auto slopes = testing::central_differences(
        [&](const std::vector<double>& in) { return weighted(in); }, q.values());
    CHECK(testing::relative_error(want.gradient, slopes) < 1e-5);
  }
  const double allowed = testing::tolerance<T>();
  const feaug::relation_distillation_options<T> options = {.temperature = 0.5,
                                                           .teacher_temperature = 0.2,
                                                           .reduction = reduction,
                                                           .normalize = normalize};
  test_matrix<T> dq(at.rows, at.cols, 2);
  const auto gradient = [&] {
    const std::vector<double> values = dq.values();
    dq.fill(std::numeric_limits<double>::quiet_NaN());
    return values;
  };
  const index_t outputs = reduction == reduce::none ? at.rows : 1;
  std::vector<C> loss(static_cast<std::size_t>(outputs));
  const vector_view<C> loss_view(loss.data(), outputs);
  cpu_context ctx{.threads = 2};
  feaug::relation_distillation(ctx, q.view(), k.view(), queue.view(), loss_view, options);
  double total = 0;
  for (std::size_t i = 0; i < loss.size(); ++i)
    total += static_cast<double>(loss[i]) * (reduction == reduce::none ? weights[i] : 1.0);
  CHECK(total == Approx(want.value).epsilon(allowed).margin(allowed));
  feaug::relation_distillation_backward(ctx, differentiable(q.view(), dq.view()), k.view(),
                                        queue.view(),
                                        vector_view<const C>(cotangent.data(), outputs), options);
  CHECK(dq.padding_intact());
  CHECK(testing::relative_error(gradient(), want.gradient, 1e-2) < allowed);
  if (reduction == reduce::none) return;
  const C again = feaug::relation_distillation_with_gradients(
      ctx, differentiable(q.view(), dq.view()), k.view(),
      queue.storage.view().rows_from(0, at.filled), options);
  CHECK(again == Approx(loss[0]).epsilon(1e-6));
  CHECK(testing::relative_error(gradient(), want.gradient, 1e-2) < allowed);
}

TEST_CASE("relation_distillation: blocks, threads, excluded rows, weights, accumulation",
          "[relation_distillation]") {
  // 4 MiB of doubles are 700 rows of 749.
  const index_t rows = 703;
  const index_t cols = 749;
  const auto q = test_matrix<double>::normal(rows, cols, 1);
  const auto k = test_matrix<double>::normal(rows, cols, 2);
  queue_of<double> queue(8, cols, 7);
  std::vector<std::int64_t> own;
  std::vector<double> weights;
  for (index_t i = 0; i < rows; ++i) {
    own.push_back(i % 4);
    weights.push_back(static_cast<double>(i % 5) - 1.5);
  }
  const auto excluded = [](index_t i, index_t j) { return i % 4 == j % 3; };
  const std::vector<double> want =
      formula(q.values(), k.values(), queue.filled(), cols, 0.1, 0.04, true, excluded);
  feaug::relation_distillation_options<double> options = {.reduction = reduce::none,
                                                          .exclude_ids = {own.data(), rows}};
  std::vector<double> losses(static_cast<std::size_t>(rows));
  std::vector<double> first;
  for (int threads = 1; threads <= 3; ++threads) {
    cpu_context ctx{.threads = threads};
    test_matrix<double> dq(rows, cols);
    feaug::relation_distillation_with_gradients(ctx, differentiable(q.view(), dq.view()), k.view(),
                                                queue.view(), {losses.data(), rows}, options);
    CHECK(testing::relative_error(losses, want) < 1e-11);
    std::vector<double> found = dq.values();
    found.insert(found.end(), losses.begin(), losses.end());
    if (first.empty()) first = found;
    CHECK(found == first);
    CHECK(ctx.workspace.peak() < (16U << 20U));
  }
  cpu_context ctx{.threads = 2};
  options.reduction = reduce::mean;
  options.row_weights = {weights.data(), rows};
  options.gradient_scale = static_cast<double>(rows);
  test_matrix<double> dq(rows, cols);
  dq.fill(1.0);
  const double loss = feaug::relation_distillation_with_gradients(
      ctx, feaug::accumulate(q.view(), dq.view()), k.view(), queue.view(), options);
  CHECK(loss == Approx(testing::weighted(want, weights) / static_cast<double>(rows)));
  for (std::size_t e = 0; e < static_cast<std::size_t>(rows * cols); e += 10007)
    CHECK(dq.values()[e] ==
          Approx(1.0 + weights[e / static_cast<std::size_t>(cols)] * first[e]).margin(1e-12));
  CHECK(feaug::relation_distillation_with_gradients(ctx, stop_gradient(q.view()), k.view(),
                                                    queue.view(), options) == loss);
}

TEST_CASE("relation_distillation at the edges", "[relation_distillation]") {
  cpu_context ctx{.threads = 1};
  auto q = test_matrix<float>::normal(4, 3, 1);
  auto k = test_matrix<float>::normal(4, 3, 2);
  queue_of<float> queue(6, 3, 6);
  test_matrix<float> dq(4, 3);
  std::vector<float> losses(4);
  feaug::relation_distillation_options<float> options = {.reduction = reduce::none};
  const auto run = [&](const feaug::support_rows<float>& support) {
    feaug::relation_distillation_with_gradients(ctx, differentiable(q.view(), dq.view()), k.view(),
                                                support, {losses.data(), 4}, options);
  };
  SECTION("a student that is the teacher: the entropy, and no gradient") {
    options.teacher_temperature = options.temperature = 0.3;
    k = q;
    run(queue.view());
    for (const double v : dq.values()) CHECK(std::abs(v) < 1e-6);
    const auto want = formula(q.values(), q.values(), queue.filled(), 3, 0.3, 0.3, true, all);
    CHECK(testing::relative_error({losses.begin(), losses.end()}, want) < 1e-5);
  }
  SECTION("rows stored unit are taken as they are") {
    queue.storage.fill(0.5);
    run(queue.view(true));
    for (const float loss : losses) CHECK(loss == Approx(std::log(6.0)).epsilon(1e-5));
    options.normalize = false;
    run(queue.view());
    for (const float loss : losses) CHECK(loss == Approx(std::log(6.0)).epsilon(1e-5));
  }
  SECTION("zero, tiny and huge rows, cold soft-maxes") {
    q.fill_row(0, 0.0);
    q.fill_row(1, 1e-30);
    q.fill_row(2, -1e18);
    k.fill_row(3, 0.0);
    queue.storage.fill_row(1, 0.0);
    queue.storage.fill_row(2, 1e18);
    options.temperature = options.teacher_temperature = 1e-3;
    run(queue.view());
    for (const float loss : losses) CHECK(std::isfinite(loss));
    for (const double v : dq.values()) CHECK(std::isfinite(v));
    for (index_t j = 0; j < 3; ++j) CHECK((dq.get(0, j) == 0.0 && dq.get(1, j) == 0.0));
    CHECK(losses[0] == Approx(std::log(6.0)).epsilon(1e-5));
  }
  SECTION("NaN and infinity reach the rows that read them") {
    const double bad =
        GENERATE(std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity());
    q.set(1, 0, bad);
    k.set(2, 1, bad);
    run(queue.view());
    for (index_t i = 0; i < 4; ++i) {
      CHECK(std::isnan(losses[static_cast<std::size_t>(i)]) == (i == 1 || i == 2));
      for (index_t j = 0; j < 3; ++j) CHECK(std::isnan(dq.get(i, j)) == (i == 1 || i == 2));
    }
    queue.storage.set(3, 2, bad);
    run(queue.view());
    for (const float loss : losses) CHECK(std::isnan(loss));
  }
}

TEST_CASE("relation_distillation names what is wrong, before it writes",
          "[relation_distillation]") {
  cpu_context ctx{.threads = 1};
  queue_of<float> queue(6, 3, 5);
  const auto q = test_matrix<float>::normal(4, 3, 1);
  const auto k = test_matrix<float>::normal(4, 3, 2);
  test_matrix<float> dq(4, 3);
  dq.fill(5.0);
  std::vector<float> loss(4, 5.0F);
  std::vector<float> ones(4, 1.0F);
  feaug::operand<float> x = differentiable(q.view(), dq.view());
  feaug::matrix_view<const float> keys = k.view();
  feaug::support_rows<float> support = queue.view();
  vector_view<float> loss_view(loss.data(), 1);
  vector_view<const float> cotangent(ones.data(), 1);
  feaug::relation_distillation_options<float> options;
  const std::string op = "relation_distillation";
  const auto forward = [&] {
    return testing::message_of(
        [&] { feaug::relation_distillation(ctx, x.value, keys, support, loss_view, options); });
  };
  const auto backward = [&] {
    return testing::message_of(
        [&] { feaug::relation_distillation_backward(ctx, x, keys, support, cotangent, options); });
  };
  const auto at_once = [&] {
    return testing::message_of([&] {
      feaug::relation_distillation_with_gradients(ctx, x, keys, support, loss_view, options);
    });
  };
  const auto check_all = [&](const std::string& wanted) {
    CHECK(forward() == op + ": " + wanted);
    CHECK(backward() == op + "_backward: " + wanted);
    CHECK(at_once() == op + "_with_gradients: " + wanted);
  };
  SECTION("queries and keys") {
    x.value.data = nullptr;
    check_all("queries: got a null pointer with shape (4, 3), wanted a pointer to its elements");
    x = stop_gradient(feaug::matrix_view<const float>(q.view().data, 0, 3));
    check_all("queries: got shape (0, 3), wanted at least one row and one column");
    x = differentiable(q.view(), dq.view());
    keys = k.view().rows_from(0, 3);
    check_all("keys: got shape (3, 3), wanted shape (4, 3) as queries");
    keys = dq.view();
    CHECK(backward() == op + "_backward: gradient of queries: got memory that overlaps keys, "
                             "wanted memory of its own");
    keys = k.view();
    support = dq.view();
    CHECK(backward() == op + "_backward: gradient of queries: got memory that overlaps support, "
                             "wanted memory of its own");
  }
  SECTION("support and ids") {
    const auto narrow = test_matrix<float>::normal(5, 2, 1);
    support = narrow.view();
    check_all("support: got 2 columns, wanted 3 as queries");
    support = queue.view();
    const std::vector<std::int64_t> own = {9, 9, 1, 1};
    options.exclude_ids = {own.data(), 3};
    check_all("exclude_ids: got 3 elements, wanted 4 (one a query)");
    options.exclude_ids = {own.data(), 4};
    queue.ids = {1, 1, 1, 1, 1, 0};
    check_all(
        "exclude_ids: got every filled row excluded for row 2, wanted one that is left for every "
        "query");
    queue.size = queue.cursor = 0;
    check_all("queue: got no filled rows, wanted at least one");
  }
  SECTION("numbers, loss, cotangent") {
    options.temperature = 0;
    check_all("temperature: got 0, wanted a finite number above 0");
    options.temperature = 0.1;
    options.teacher_temperature = -1;
    check_all("teacher_temperature: got -1, wanted a finite number above 0");
    options.teacher_temperature = 0.04;
    options.gradient_scale = std::numeric_limits<double>::infinity();
    check_all("gradient_scale: got inf, wanted a finite number");
    options.gradient_scale = 1;
    options.row_weights = {ones.data(), 3};
    check_all("row_weights: got 3 elements, wanted 4 (one a row of the loss)");
    options.row_weights = {};
    loss_view = {loss.data(), 2};
    CHECK(forward() == op + ": loss: got 2 elements, wanted 1 (the reduced loss)");
    CHECK(at_once() == op + "_with_gradients: loss: got 2 elements, wanted 1 (the reduced loss)");
    cotangent = {};
    CHECK(backward() == op + "_backward: cotangent: got no elements, wanted one, or one a row with "
                             "reduce::none");
    const std::string wanted =
        "reduction: got none, wanted mean or sum, or a view for a loss a row";
    options.reduction = reduce::none;
    CHECK(testing::message_of([&] {
            feaug::relation_distillation(ctx, x.value, keys, support, options);
          }) == op + ": " + wanted);
    CHECK(testing::message_of([&] {
            feaug::relation_distillation_with_gradients(ctx, x, keys, support, options);
          }) == op + "_with_gradients: " + wanted);
  }
  CHECK(dq.values() == std::vector<double>(12, 5.0));
  CHECK(loss == std::vector<float>(4, 5.0F));
}

}  // namespace relation_distillation_test
