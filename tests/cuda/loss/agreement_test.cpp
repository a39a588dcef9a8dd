// Every loss on a GPU compared with the CPU, for every test case and every function of the loss.
// The results must have the same bits for every thread schedule.
#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "cuda/loss/agreement_losses.hpp"
#include "cuda/support/schedules.hpp"
#include "support/loss_cases.hpp"
#include "support/operators/cpu_losses.hpp"

namespace agreement_test {

using conformance::arguments;
using conformance::registry;
using conformance::result;
using conformance::results;
using testing::loss_case;

namespace {

/// True if the case is repeated for every thread schedule. The order of a loss's sums does not
/// depend on its values; it depends on the type only where rows are loaded and stored. So larger
/// cases run in float only.
template <class T>
bool is_scheduled(const loss_case& row) {
  std::size_t elements = 0;
  for (const auto& [name, x] : row.given.inputs) elements += x.data.size();
  const bool is_reduced = row.given.options.value("reduction", "mean") != "none";
  return is_reduced && elements <= (std::is_same_v<T, float> ? 4600 : 300);
}

results run(const registry& losses, const loss_case& row) {
  arguments given(row.given);
  return losses.at(row.loss)(given);
}

template <class T>
double tolerance_of(const loss_case& row, const result& got) {
  using C = feaug::compute_t<T>;
  const double larger = std::max(row.edge, 1.0);
  if (got.name == "loss") return std::min(larger * testing::tolerance<C>(), row.loss_tolerance);
  if (got.name == "statistics") return larger * testing::tolerance<C>();
  // The gradient of a scalar is a sum over all pairs.
  if (got.value.shape.empty()) return 10 * larger * testing::tolerance<C>();
  return larger * testing::tolerance<T>();
}

/// 0, finite, infinite or NaN; subnormal counts as finite.
int kind_of(double x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? FP_NORMAL : std::fpclassify(x);
}

std::vector<int> kinds_of(const std::vector<double>& numbers) {
  std::vector<int> kinds(numbers.size());
  std::transform(numbers.begin(), numbers.end(), kinds.begin(), kind_of);
  return kinds;
}

template <class T>
void check(const loss_case& row, const result& got, const result& want) {
  CAPTURE(want.name, want.route);
  REQUIRE(got.name == want.name);
  if (want.exact) {  // number of overwritten padding elements
    CHECK(got.value.data == std::vector<double>{0});
    CHECK(want.value.data == std::vector<double>{0});
    return;
  }
  if (want.name == "slots") {
    CHECK(got.value.data == want.value.data);
    return;
  }
  // A loss is a difference of logits larger than 1. If it is near 0, mostly their rounding errors
  // remain.
  const bool is_features = want.value.shape.size() == 2;
  const double floor = is_features ? 1e-4 : 1e-2;
  CHECK(testing::relative_error(got.value.data, want.value.data, floor) <=
        tolerance_of<T>(row, want));
  if (row.edge > 0) {
    CHECK(kinds_of(got.value.data) == kinds_of(want.value.data));
  } else {
    // Otherwise two outputs that were never written would count as equal.
    CHECK(std::none_of(want.value.data.begin(), want.value.data.end(),
                       [](double x) { return std::isnan(x); }));
  }
}

}  // namespace

TEMPLATE_TEST_CASE("every loss agrees with the CPU", "[cuda][loss][agreement]", double, float,
                   feaug::half, feaug::bfloat16) {
  const registry cpu = conformance::cpu_losses<TestType>();
  const registry gpu = cuda_losses<TestType>();
  for (const loss_case& row : testing::loss_cases()) {
    if (!row.is_for<TestType>()) continue;
    CAPTURE(row.given.name);
    const std::vector<result> want = run(cpu, row).all();
    const std::vector<result> got = run(gpu, row).all();
    REQUIRE(got.size() == want.size());
    for (std::size_t i = 0; i < want.size(); ++i) check<TestType>(row, got[i], want[i]);
  }
  for (const auto& [name, loss] : gpu) {
    CAPTURE(name);
    CHECK(std::any_of(testing::loss_cases().begin(), testing::loss_cases().end(),
                      [wanted = name](const loss_case& row) { return row.loss == wanted; }));
  }
}

TEMPLATE_TEST_CASE("every loss gives the same bits for every thread schedule",
                   "[cuda][loss][schedules]", double, float, feaug::half, feaug::bfloat16) {
  const registry gpu = cuda_losses<TestType>();
  for (const loss_case& row : testing::loss_cases()) {
    if (!row.is_for<TestType>() || !is_scheduled<TestType>(row)) continue;
    CAPTURE(row.given.name);
    std::optional<std::vector<std::uint64_t>> first;
    device_test::for_each_schedule([&] {
      const std::vector<std::uint64_t> bits = conformance::bits_of(run(gpu, row).all());
      if (!first) first = bits;
      const bool same = bits == *first;
      CHECK(same);
    });
  }
}

}  // namespace agreement_test
