// Checks for every augmentation in the table: gradients agree with central differences; gradients
// are overwritten, accumulated or stopped; results have the same bits for any number of threads, in
// place and in micro-batches.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "feaug/feaug.hpp"
#include "support/augmentation_case.hpp"
#include "support/augmentation_runs.hpp"
#include "support/automatic_gradient.hpp"
#include "support/operators/operand_input.hpp"
#include "support/sanitizer.hpp"
#include "support/test_matrix.hpp"

namespace table_test {

using conformance::result;
using conformance::test_case;
using feaug::index_t;
using testing::augmentation_case;

namespace {

const result& find(const std::vector<result>& all, const std::string& name) {
  for (const result& one : all) {
    if (one.name == name) return one;
  }
  FAIL("no " << name);
  return all.front();
}

/// Σ grad_out · out.
double product(const augmentation_case& row, test_case& given) {
  const std::vector<double> out = find(testing::run(row, given), "out").value.data;
  const std::vector<double>& weights = given.inputs.at("grad_out").data;
  double sum = 0;
  for (std::size_t e = 0; e < out.size(); ++e) sum += weights[e] * out[e];
  return sum;
}

/// All routes to an output must give the same bits, and must not overwrite padding.
void check_routes(const std::vector<result>& all) {
  for (const result& one : all) {
    INFO(one.name << " " << one.route);
    if (one.exact) CHECK(one.value.data == std::vector<double>{0});
    if (one.name == "out" || one.name.starts_with("grad_")) {
      CHECK(std::none_of(one.value.data.begin(), one.value.data.end(),
                         [](double x) { return std::isnan(x); }));
    }
    const bool same = testing::bits_of({one}) == testing::bits_of({find(all, one.name)});
    CHECK(same);
  }
}

}  // namespace

TEST_CASE("gradients of augmentations agree with central differences", "[augment][gradient]") {
  for (const augmentation_case& row : testing::cpu_augmentations<double>()) {
    if (!row.has_slopes) continue;
    INFO(row.name);
    // Rows with sums over the features: also more columns than an instruction has lanes.
    for (const index_t cols : {5, 21}) {
      if (cols > 5 && row.by_row) continue;
      test_case given = testing::features_of(row, cols == 5 ? 6 : 9, cols);
      const std::vector<result> got = testing::run(row, given);
      check_routes(got);
      test_case forward = given;
      forward.options["in_place"] = forward.options["gradients"] = false;
      for (const std::string& side : testing::sides_of(row, given)) {
        const auto slopes = testing::central_differences(
            [&](const std::vector<double>& at) {
              forward.inputs[side].data = at;
              return product(row, forward);
            },
            given.inputs[side].data);
        forward.inputs = given.inputs;
        INFO(side);
        CHECK(testing::relative_error(find(got, "grad_" + side).value.data, slopes) < 1e-7);
      }
    }
  }
}

TEMPLATE_TEST_CASE("gradients of augmentations are accumulated or stopped", "[augment][gradient]",
                   double, float, feaug::half, feaug::bfloat16) {
  for (const augmentation_case& row : testing::cpu_augmentations<TestType>()) {
    INFO(row.name);
    test_case given = testing::features_of(row, 7, 9);
    const std::vector<result> alone = testing::run(row, given);
    check_routes(alone);
    testing::for_each_modes(row, given, [&](test_case& one) {
      INFO(one.name);
      const std::vector<result> got = testing::run(row, one);
      check_routes(got);
      for (const std::string& side : testing::sides_of(row, given)) {
        if (one.stop_gradient.contains(side)) continue;
        std::vector<double> want = find(alone, "grad_" + side).value.data;
        if (one.accumulate.contains(side)) {
          for (std::size_t e = 0; e < want.size(); ++e) want[e] += conformance::added_to(e);
        }
        const std::vector<double>& found = find(got, "grad_" + side).value.data;
        if (!one.accumulate.contains(side)) {
          CHECK(found == want);
          continue;
        }
        CHECK(testing::relative_error(found, want) <= testing::tolerance<TestType>());
      }
    });
  }
}

TEST_CASE("augmentations: the same bits for any number of threads and in micro-batches",
          "[augment]") {
  for (const augmentation_case& row : testing::cpu_augmentations<float>()) {
    INFO(row.name);
    // Two blocks of rows. Fewer if a support is searched, which has its own tests.
    test_case small = testing::features_of(row, 2, 30);
    testing::run(row, small);
    test_case given = testing::features_of(row, small.inputs.contains("support") ? 40 : 1100, 30);
    given.options["in_place"] = false;
    const std::vector<result> whole = testing::run(row, given);
    for (const int threads : {2, 3}) {
      if (testing::is_sanitized && threads == 2) continue;
      test_case again = given;
      again.options["threads"] = threads;
      const bool same = testing::bits_of(testing::run(row, again)) == testing::bits_of(whole);
      CHECK(same);
    }
    if (!row.by_row) continue;
    test_case part = testing::micro_batch(given, 10, 25);
    const auto begin = find(whole, "out").value.data.begin() + 10 * 30;
    CHECK(find(testing::run(row, part), "out").value.data ==
          std::vector<double>(begin, begin + 25 * 30));
  }
}

}  // namespace table_test
