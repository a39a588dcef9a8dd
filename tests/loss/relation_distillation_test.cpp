// relation_distillation: formula, edge cases.
#include "feaug/cpu/loss/relation_distillation.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "loss/formula.hpp"
#include "support/test_matrix.hpp"

namespace relation_distillation_test {

using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::reduce;
using testing::test_matrix;

namespace {

const testing::registered_formula formula(
    "relation_distillation", {"queries"}, []<class S>(const testing::formula_inputs<S>& in) {
      const bool normalize = in.option("normalize", true);
      const double teacher_temperature = in.option("teacher_temperature", 0.04);
      const auto q = testing::directions(in.matrix("queries"), normalize);
      const auto k = testing::directions(in.constant("keys"), normalize);
      const auto u = testing::directions(in.matrix("support"), normalize);
      const auto v = testing::directions(in.constant("support"), normalize);
      std::vector<S> losses;
      for (index_t i = 0; i < q.size(); ++i) {
        std::vector<S> student;
        std::vector<double> teacher;
        for (index_t j = 0; j < testing::filled_rows(in); ++j) {
          if (in.has("ids") && in.vector("ids")[static_cast<std::size_t>(j)] ==
                                   in.vector("exclude_ids")[static_cast<std::size_t>(i)])
            continue;
          student.push_back(testing::dot(q[i], u[j]) * (1 / in.option("temperature", 0.1)));
          teacher.push_back(testing::dot(k[i], v[j]) / teacher_temperature);
        }
        const S log_sum_exp = testing::log_sum_exp(student);
        const double teacher_sum = testing::log_sum_exp(teacher);
        S loss = log_sum_exp * 0.0;
        for (std::size_t j = 0; j < student.size(); ++j)
          loss += (log_sum_exp - student[j]) * std::exp(teacher[j] - teacher_sum);
        losses.push_back(loss);
      }
      return losses;
    });

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
};

}  // namespace

TEST_CASE("relation_distillation works in chunks of bounded memory", "[relation_distillation]") {
  const auto q = test_matrix<double>::normal(703, 749, 1);
  queue_of<double> queue(8, 749, 7);
  cpu_context ctx{.threads = 3};
  test_matrix<double> dq(703, 749);
  feaug::relation_distillation_with_gradients(ctx, differentiable(q.view(), dq.view()), q.view(),
                                              queue.view());
  CHECK(ctx.workspace.peak() < (16U << 20U));
}

TEST_CASE("relation_distillation: edge cases", "[relation_distillation]") {
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
  SECTION("a student equal to the teacher: the loss is the entropy, the gradient 0") {
    options.teacher_temperature = options.temperature = 0.3;
    k = q;
    run(queue.view());
    for (const double v : dq.values()) CHECK(std::abs(v) < 1e-6);
    const testing::rows_of<double> of_q(q.values(), 0, 4, 3);
    const testing::rows_of<double> rows(queue.storage.values(), 0, 6, 3);
    for (index_t i = 0; i < 4; ++i) {
      std::vector<double> logits;
      for (index_t j = 0; j < 6; ++j) logits.push_back(testing::cosine(of_q[i], rows[j]) / 0.3);
      const double all = testing::log_sum_exp(logits);
      double entropy = 0;
      for (const double logit : logits) entropy += std::exp(logit - all) * (all - logit);
      CHECK(losses[static_cast<std::size_t>(i)] == Approx(entropy).epsilon(1e-5));
    }
  }
  SECTION("rows of a normalizing queue are not normalized again") {
    queue.storage.fill(0.5);
    run(queue.view(true));
    for (const float loss : losses) CHECK(loss == Approx(std::log(6.0)).epsilon(1e-5));
    options.normalize = false;
    run(queue.view());
    for (const float loss : losses) CHECK(loss == Approx(std::log(6.0)).epsilon(1e-5));
  }
  SECTION("zero, tiny and huge rows, low temperatures") {
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
  SECTION("NaN and infinity affect the rows that read them") {
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

}  // namespace relation_distillation_test
