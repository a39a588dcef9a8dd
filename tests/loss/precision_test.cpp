// cpu_context::precision: how far losses and gradients of lower precisions are from double.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <type_traits>
#include <vector>

#include "feaug/core/product_precision.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/diagnostics/uniformity.hpp"
#include "feaug/cpu/loss/barlow_twins.hpp"
#include "feaug/cpu/loss/info_nce.hpp"
#include "feaug/cpu/loss/nt_xent.hpp"
#include "feaug/cpu/loss/sigmoid.hpp"
#include "feaug/cpu/loss/symmetric_info_nce.hpp"
#include "support/test_matrix.hpp"

namespace precision_test {

using feaug::cpu_context;
using feaug::index_t;
using feaug::product_precision;
using testing::test_matrix;

namespace {

constexpr const char* losses[] = {"info_nce", "nt_xent", "symmetric_info_nce", "sigmoid",
                                  "barlow_twins"};

/// A loss of two views, followed by both gradients.
template <class T>
std::vector<double> results(const std::string& loss, cpu_context& ctx, index_t rows, index_t cols) {
  const auto a = test_matrix<T>::normal(rows, cols, 1);
  const auto b = test_matrix<T>::normal(rows, cols, 2);
  test_matrix<T> of_a(rows, cols);
  test_matrix<T> of_b(rows, cols);
  const auto x = feaug::differentiable(a.view(), of_a.view());
  const auto y = feaug::differentiable(b.view(), of_b.view());
  std::vector<double> all;
  const auto keep = [&](auto value) { all.push_back(static_cast<double>(value)); };
  if (loss == "info_nce") keep(feaug::info_nce_with_gradients(ctx, x, y));
  if (loss == "nt_xent") keep(feaug::nt_xent_with_gradients(ctx, x, y));
  if (loss == "symmetric_info_nce") keep(feaug::symmetric_info_nce_with_gradients(ctx, x, y));
  if (loss == "sigmoid") keep(feaug::sigmoid_with_gradients(ctx, x, y));
  if (loss == "barlow_twins") keep(feaug::barlow_twins_with_gradients(ctx, x, y));
  for (index_t i = 0; i < rows; ++i) {
    for (index_t j = 0; j < cols; ++j) {
      keep(of_a.get(i, j));
      keep(of_b.get(i, j));
    }
  }
  return all;
}

/// The larger of the relative errors of the loss and of the gradients' norm.
double error(const std::vector<double>& got, const std::vector<double>& want) {
  double difference = 0;
  double size = 0;
  for (std::size_t i = 1; i < got.size(); ++i) {
    difference += (got[i] - want[i]) * (got[i] - want[i]);
    size += want[i] * want[i];
  }
  return std::max(std::fabs(got[0] / want[0] - 1), std::sqrt(difference / size));
}

}  // namespace

TEMPLATE_TEST_CASE("lower precisions of products stay within their errors", "[loss]", float,
                   feaug::half, feaug::bfloat16) {
  constexpr index_t rows = 150;
  constexpr index_t cols = 72;
  // Gradients of 16-bit features are rounded when they are stored.
  const double of_storage = std::is_same_v<TestType, float>         ? 0
                            : std::is_same_v<TestType, feaug::half> ? 1e-3
                                                                    : 3e-3;
  for (const std::string loss : losses) {
    CAPTURE(loss);
    cpu_context reference{.threads = 2};
    // Floats are rounded doubles. Features of 16 bits are compared with their own in portable code.
    const auto want = [&] {
      if constexpr (std::is_same_v<TestType, float>)
        return results<double>(loss, reference, rows, cols);
      reference.instructions = feaug::instruction_set::portable;
      return results<TestType>(loss, reference, rows, cols);
    }();
    const auto error_of = [&](product_precision precision) {
      cpu_context ctx{.threads = 2, .precision = precision};
      return error(results<TestType>(loss, ctx, rows, cols), want);
    };
    CHECK(error_of(product_precision::fp32) <= 1e-5 + of_storage);
    CHECK(error_of(product_precision::tf32) <= 1e-4 + of_storage);
    const double lowest = error_of(product_precision::bf16);
    CHECK(lowest <= 1e-2 + of_storage);
    // It is used: without products of bfloat16 nothing is gained by it, and nothing lost.
    if (std::is_same_v<TestType, float> &&
        feaug::best_instruction_set() >= feaug::instruction_set::avx512_bf16)
      CHECK(lowest > 2e-6);
  }
}

TEST_CASE("keys opposite to all queries at a low temperature", "[info_nce]") {
  // Every weight is close to the smallest exponential: AMX must still find its pieces.
  constexpr index_t rows = 64;
  constexpr index_t cols = 128;
  const auto centre = test_matrix<float>::normal(1, cols, 1);
  auto queries = test_matrix<float>::normal(rows, cols, 2);
  auto keys = test_matrix<float>::normal(rows, cols, 3);
  for (index_t i = 0; i < rows; ++i) {
    for (index_t j = 0; j < cols; ++j) {
      queries.set(i, j, centre.get(0, j) + 0.02 * queries.get(i, j));
      keys.set(i, j, -centre.get(0, j) + 0.02 * keys.get(i, j));
    }
  }
  const auto gradient = [&](feaug::instruction_set set, double temperature) {
    cpu_context ctx{.threads = 1, .instructions = set};
    test_matrix<float> of_queries(rows, cols);
    feaug::info_nce_with_gradients(ctx, feaug::differentiable(queries.view(), of_queries.view()),
                                   feaug::stop_gradient(keys.view()), {.temperature = temperature});
    std::vector<double> all = {1};
    for (index_t i = 0; i < rows; ++i) {
      for (index_t j = 0; j < cols; ++j) all.push_back(of_queries.get(i, j));
    }
    return all;
  };
  for (const double temperature : {0.1, 0.03, 0.02, 0.0185, 0.015}) {
    CAPTURE(temperature);
    CHECK(error(gradient(feaug::instruction_set::amx, temperature),
                gradient(feaug::instruction_set::portable, temperature)) <= 1e-4);
  }
}

TEMPLATE_TEST_CASE("uniformity of equal rows is 0", "[uniformity]", float, feaug::half,
                   feaug::bfloat16) {
  auto rows = test_matrix<TestType>::normal(64, 128, 1);
  for (index_t i = 1; i < 64; ++i) {
    for (index_t j = 0; j < 128; ++j) rows.set(i, j, rows.get(0, j));
  }
  cpu_context ctx{.threads = 1};
  CHECK(std::fabs(feaug::uniformity(ctx, rows.view())) <= 1e-6);
}

}  // namespace precision_test
