// Searches that exclude rows by their projections.
#include "feaug/cpu/queue/pruning/principal_subspace.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <vector>

#include "feaug/cpu/queue/find_principal_subspace.hpp"
#include "feaug/cpu/queue/pruned_scan.hpp"
#include "queue/pruned_search.hpp"
#include "support/instruction_sets.hpp"
#include "support/test_matrix.hpp"

namespace principal_subspace_test {

using feaug::bfloat16;
using feaug::half;
using feaug::index_t;
using feaug::instruction_set;
using testing::not_a_number;
using testing::owned_queue;
using testing::require_exact;
using testing::test_matrix;
namespace cpu = feaug::cpu;

namespace {

constexpr index_t cols = 72;
constexpr index_t queries_given = 4 * cols;
// Projections whenever rows permit them.
constexpr double always = 0;

/// Rows with most of their energy in few directions, like those of a trained encoder.
template <class T>
test_matrix<T> few_directions(index_t rows, unsigned seed, double noise = 0.02) {
  constexpr index_t directions = 10;
  const auto basis = test_matrix<double>::normal(directions, cols, 77);
  const auto along = test_matrix<double>::normal(rows, directions, seed);
  const auto rest = test_matrix<double>::normal(rows, cols, seed + 1000);
  test_matrix<T> m(rows, cols);
  for (index_t i = 0; i < rows; ++i) {
    for (index_t j = 0; j < cols; ++j) {
      double x = noise * rest.get(i, j);
      for (index_t d = 0; d < directions; ++d)
        x += along.get(i, d) * basis.get(d, j) / static_cast<double>(1 + d);
      m.set(i, j, x);
    }
  }
  return m;
}

template <class T>
void copy_row(const test_matrix<T>& from, index_t i, test_matrix<T>& to, index_t at,
              double scale = 1) {
  for (index_t j = 0; j < cols; ++j) to.set(at, j, scale * from.get(i, j));
}

/// A context whose instruction set projects.
feaug::cpu_context projecting_context() {
  return {.threads = 1, .instructions = instruction_set::avx512_bf16};
}

template <class T>
bool is_projected(const cpu::search_space<T>& space, const test_matrix<T>& queries,
                  double fewest = always) {
  feaug::cpu_context ctx = projecting_context();
  feaug::workspace::scope scratch(ctx.workspace);
  return !cpu::find_principal_subspace<T>(ctx, scratch, space, queries.view(), fewest).empty();
}

}  // namespace

TEMPLATE_TEST_CASE("projections find the same rows", "[pruning]", float, half, bfloat16) {
  const bool normalize = GENERATE(true, false);
  owned_queue<TestType> queue(1300, cols, normalize);
  queue.push(few_directions<TestType>(1300, 1));
  const auto queries = few_directions<TestType>(queries_given, 2);
  REQUIRE(is_projected(queue.space(), queries));
  for (const index_t k : {1, 10}) {
    const auto counts = require_exact(queue.space(), queries, k, {}, always);
    CHECK(counts.met < queries_given * 1300 / 10);
    CHECK(counts.given_up == 0);
  }
}

TEST_CASE("projections of several chunks of rows", "[pruning]") {
  constexpr index_t rows = 20000;
  const auto stored = few_directions<float>(rows, 1);
  const auto queries = few_directions<float>(queries_given, 2);
  const cpu::search_space<float> space = {.rows = stored.view()};
  REQUIRE(is_projected(space, queries));
  const auto counts = require_exact(space, queries, 10, {}, always);
  CHECK(counts.met < queries_given * rows / 50);
  CHECK(counts.given_up == 0);
}

TEST_CASE("projections are used only where they are likely to gain", "[pruning]") {
  const auto rows = few_directions<float>(1300, 1);
  const auto queries = few_directions<float>(queries_given, 2);
  const auto random = test_matrix<float>::normal(1300, cols, 3);
  const auto random_queries = test_matrix<float>::normal(queries_given, cols, 4);
  cpu::search_space<float> space = {.rows = rows.view()};
  CHECK(is_projected(space, queries));
  CHECK_FALSE(is_projected<float>({.rows = random.view()}, random_queries));
  const auto noisy = few_directions<float>(1300, 1, 0.6);
  CHECK_FALSE(
      is_projected<float>({.rows = noisy.view()}, few_directions<float>(queries_given, 2, 0.6)));
  CHECK_FALSE(is_projected(space, few_directions<float>(queries_given - 1, 2)));
  CHECK_FALSE(is_projected(space, queries, cpu::fewest_projected_products));
  CHECK_FALSE(is_projected<float>({.rows = rows.view().rows_from(0, 511)}, queries));
  space.similarity = {.ceiling = 0.5};
  CHECK_FALSE(is_projected(space, queries));
  // All rows have one direction in common, and nothing else.
  auto shifted = random;
  for (index_t i = 0; i < 1300; ++i) shifted.set(i, 0, 8.0);
  CHECK_FALSE(is_projected<float>({.rows = shifted.view()}, random_queries));
}

TEMPLATE_TEST_CASE("rows that are difficult for projections", "[pruning]", float, bfloat16) {
  const bool normalize = GENERATE(true, false);
  constexpr index_t rows = 700;
  owned_queue<TestType> queue(rows, cols, normalize);
  auto pushed = few_directions<TestType>(rows, 1);
  auto queries = few_directions<TestType>(queries_given, 2);
  SECTION("duplicates, and rows that differ slightly") {
    for (index_t i = 100; i < rows; ++i) copy_row(pushed, i % 100, pushed, i);
    for (index_t i = 400; i < rows; ++i)
      pushed.set(i, i % cols, pushed.get(i, i % cols) * (1 + 1e-3 * static_cast<double>(i % 2)));
    for (index_t i = 0; i < 50; ++i) copy_row(pushed, i, queries, i);
  }
  SECTION("rows and queries that are zero, not finite, or of another length") {
    for (index_t i = 3; i < rows; i += 11) pushed.fill_row(i, 0);
    for (index_t i = 5; i < rows; i += 13) pushed.set(i, i % cols, not_a_number);
    for (index_t i = 7; i < rows; i += 17) copy_row(pushed, i, pushed, i, 1e-8);
    for (index_t i = 8; i < rows; i += 17) copy_row(pushed, i, pushed, i, 300);
    queries.fill_row(1, 0);
    queries.set(2, 5, not_a_number);
    queries.set(3, 5, -testing::infinity);
    copy_row(queries, 6, queries, 6, 1e-8);
    copy_row(queries, 7, queries, 7, 300);
  }
  SECTION("rows and queries outside the subspace") {
    const auto random = test_matrix<TestType>::normal(rows, cols, 5);
    for (index_t i = 401; i < rows; i += 10) copy_row(random, i, pushed, i);
    for (index_t i = 1; i < queries_given; i += 40) copy_row(random, i, queries, i);
    for (index_t i = 2; i < queries_given; i += 40)
      copy_row(random, 401 + 10 * (i % 30), queries, i);
  }
  queue.push(pushed);
  for (const index_t k : {1, 10}) require_exact(queue.space(), queries, k, {}, always);
  const cpu::search_space<TestType> raw = {.rows = pushed.view(), .unit = normalize};
  require_exact(raw, queries, 2, {}, always);
}

TEST_CASE("projections respect ids and floors", "[pruning]") {
  owned_queue<float> queue(1300, cols, true);
  queue.push(few_directions<float>(1300, 1));
  const auto queries = few_directions<float>(queries_given, 2);
  std::vector<std::int64_t> own;
  for (index_t i = 0; i < queries_given; ++i) own.push_back(i % 60);
  auto space = queue.space();
  require_exact(space, queries, 3, own, always);
  for (const double floor : {0.9, 0.5, -0.2}) {
    space.similarity = {.floor = floor};
    REQUIRE(is_projected(space, queries));
    require_exact(space, queries, 5, {}, always);
    require_exact(space, queries, 5, own, always);
  }
}

TEST_CASE("a search whose projections exclude too little uses whole rows", "[pruning]") {
  constexpr index_t rows = 1300;
  const auto stored = few_directions<float>(rows, 1, 0.1);
  auto queries = few_directions<float>(queries_given, 2);
  // Those between the sampled ones.
  const auto random = test_matrix<float>::normal(queries_given, cols, 5);
  for (index_t i = 0; i < queries_given; ++i) {
    if (i * 64 % queries_given >= 64) copy_row(random, i, queries, i);
  }
  const cpu::search_space<float> space = {.rows = stored.view()};
  REQUIRE(is_projected(space, queries));
  const auto whole = require_exact(space, queries, 2);
  const auto counts = require_exact(space, queries, 2, {}, always);
  CHECK(counts.met == whole.met);
  CHECK(counts.scored == whole.scored);
}

TEMPLATE_TEST_CASE("projected products bound scores", "[pruning]", float, half, bfloat16) {
  constexpr index_t rows = 600;
  const double noise = GENERATE(0.0, 0.02, 0.1);
  const auto stored = few_directions<TestType>(rows, 1, noise);
  const auto queries = few_directions<TestType>(queries_given, 2, noise);
  const auto random = test_matrix<TestType>::normal(rows, cols, 3);
  feaug::cpu_context ctx = projecting_context();
  feaug::workspace::scope scratch(ctx.workspace);
  const cpu::search_space<TestType> space = {.rows = stored.view()};
  const auto subspace =
      cpu::find_principal_subspace<TestType>(ctx, scratch, space, queries.view(), always);
  REQUIRE(!subspace.empty());
  const index_t features = subspace.features;
  struct projected_row {
    std::vector<double> unit;
    std::vector<float> projected;
    double rest;
  };
  const auto memory = cpu::take_projection_scratch(scratch, cols);
  testing::for_each_instruction_set([&](instruction_set instructions) {
    std::vector<projected_row> all;
    for (const auto* of : {&stored, &random}) {
      for (index_t i = 0; i < 40; ++i) {
        double square = 0;
        for (index_t j = 0; j < cols; ++j) square += of->get(i, j) * of->get(i, j);
        const double inverse = 1 / std::sqrt(square);
        const double rest =
            cpu::project(subspace, instructions, of->view(), i, 1, &inverse, memory);
        projected_row row = {
            .unit = {}, .projected = {memory.projected, memory.projected + features}, .rest = rest};
        for (index_t j = 0; j < cols; ++j) row.unit.push_back(of->get(i, j) * inverse);
        all.push_back(row);
      }
    }
    // Too short for products in single precision, but not zero.
    const double factor = 1e-9;
    cpu::project(subspace, instructions, stored.view(), 0, 1, &factor, memory);
    CHECK(std::isnan(memory.projected[0]));
    for (const projected_row& a : all) {
      for (const projected_row& b : all) {
        double score = 0;
        for (std::size_t j = 0; j < a.unit.size(); ++j) score += a.unit[j] * b.unit[j];
        double bound = 0;
        for (std::size_t j = 0; j < a.projected.size(); ++j)
          bound += static_cast<double>(a.projected[j]) * static_cast<double>(b.projected[j]);
        REQUIRE(score <= bound + subspace.error);
        REQUIRE(score >= bound - 2 * a.rest * b.rest - subspace.error);
      }
    }
  });
}

}  // namespace principal_subspace_test
