// Compares the CPU losses with their formulas in all test cases: the forward, backward and
// with_gradients functions, each reduction, gradients of all inputs and of each input alone. A
// second test compares every instruction set with double, and requires the same bits for any number
// of threads.
#include "loss/formula.hpp"

#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "loss/cpu_loss_cases.hpp"
#include "loss/expected_losses.hpp"
#include "support/instruction_sets.hpp"
#include "support/loss_cases.hpp"
#include "support/operators/cpu_losses.hpp"
#include "support/operators/every_verb.hpp"
#include "support/operators/operand_input.hpp"
#include "support/sanitizer.hpp"

namespace formula_test {

using conformance::arguments;
using conformance::registry;
using conformance::result;
using conformance::test_case;
using testing::expectation;
using testing::input_of;
using testing::is_reduced;
using testing::loss_case;
using testing::loss_formula;
using testing::losses_of;
using testing::rounded;
using testing::run;
using testing::slope_weights;
using testing::wanted_losses;
using testing::with_slopes;

namespace {

bool all_finite(const std::vector<double>& numbers) {
  return std::all_of(numbers.begin(), numbers.end(), [](double x) { return std::isfinite(x); });
}

template <class T>
double loss_tolerance(const loss_case& row) {
  const double one = std::is_same_v<T, double> ? 1e-9 : 1e-5;
  return std::min(std::max(row.edge, 1.0) * one, row.loss_tolerance);
}

/// Gradients of scalars are sums over all pairs, so they have more rounding errors.
template <class T>
double gradient_tolerance(const loss_case& row, const result& got) {
  const double larger = std::max(row.edge, 1.0);
  return got.value.shape.empty() ? 10 * larger * testing::tolerance<feaug::compute_t<T>>()
                                 : larger * testing::tolerance<T>();
}

template <class T>
void check_losses(const loss_case& row, const test_case& given, const std::vector<result>& all,
                  const expectation& want) {
  for (const result& got : all) {
    CAPTURE(got.name, got.route);
    if (got.exact) CHECK(got.value.data == std::vector<double>{0});  // overwritten padding elements
    if (got.name == "loss") {
      CHECK(testing::relative_error(got.value.data, wanted_losses(given, want), 1e-2) <=
            loss_tolerance<T>(row));
    }
    if (got.name == "out")
      CHECK(testing::relative_error(got.value.data, want.losses) <= testing::tolerance<T>());
  }
}

/// For NaN losses, dual numbers give no derivatives. If a loss over the whole batch is NaN,
/// gradients must be NaN in every column that has a non-finite element.
void check_spread(const conformance::tensor& input, const std::vector<double>& got) {
  const auto cols = static_cast<std::size_t>(input.shape.at(1));
  for (std::size_t i = 0; i < got.size(); ++i) {
    for (std::size_t j = i % cols; !std::isfinite(input.data[i]) && j < got.size(); j += cols)
      CHECK(std::isnan(got[j]));
  }
}

template <class T>
void check_gradients(const loss_case& row, const loss_formula& formula, const test_case& given,
                     const std::vector<result>& all, const expectation& want) {
  for (const result& got : all) {
    const std::string name = input_of(got);
    if (name.empty()) continue;
    CAPTURE(got.name, got.route);
    std::size_t begin = 0;
    for (const std::string& before : formula.variables_of(given)) {
      if (before == name) break;
      begin += given.inputs.at(before).data.size();
    }
    const std::vector<double> weights = slope_weights(given, want, got.route);
    std::vector<double> gradient(got.value.data.size());
    for (std::size_t i = 0; i < weights.size(); ++i) {
      for (std::size_t j = 0; j < gradient.size(); ++j)
        gradient[j] += weights[i] * want.slopes[i][begin + j];
    }
    if (given.accumulate.contains(name)) {
      for (std::size_t j = 0; j < gradient.size(); ++j) gradient[j] += conformance::added_to(j);
    }
    if (got.value.shape.size() == 2) {  // rounded to T: half overflows
      for (double& x : gradient) x = static_cast<double>(feaug::load(conformance::rounded<T>(x)));
    }
    const conformance::tensor& input = given.inputs.at(name);
    if (all_finite(want.losses)) {
      CHECK(testing::relative_error(got.value.data, gradient, 1e-2) <=
            gradient_tolerance<T>(row, got));
    } else {
      check_spread(input, got.value.data);
    }
    if (given.accumulate.contains(name)) continue;
    // A zero row and a feature that is kept must have gradient 0.
    const auto keep = given.inputs.find("keep");
    for (std::size_t j = 0; j < gradient.size(); ++j) {
      const bool is_kept = keep != given.inputs.end() && keep->second.data[j] != 0;
      if (is_kept || (row.edge > 0 && gradient[j] == 0 && std::abs(input.data[j]) <= 1e-12))
        CHECK(got.value.data[j] == 0);
    }
  }
}

/// The case itself; then for each reduction: all gradients overwritten, all accumulated, and each
/// one alone.
std::vector<test_case> variants_of(const test_case& given, const std::vector<std::string>& names) {
  std::vector<test_case> all = {given};
  if (!is_reduced(given)) return all;
  std::vector<std::string> reductions = {""};
  if (given.options.contains("reduction")) reductions = {"mean", "sum", "none"};
  for (const std::string& reduction : reductions) {
    test_case overwritten = given;
    if (!reduction.empty()) overwritten.options["reduction"] = reduction;
    overwritten.accumulate.clear();
    test_case added = overwritten;
    for (const std::string& name : names) {
      overwritten.stop_gradient.erase(name);
      added.stop_gradient.erase(name);
      added.accumulate.insert(name);
    }
    all.push_back(overwritten);
    all.push_back(added);
    if (names.size() == 1) continue;
    for (const std::string& alone : names) {
      all.push_back(overwritten);
      for (const std::string& name : names) {
        if (name != alone) all.back().stop_gradient.insert(name);
      }
    }
  }
  return all;
}

/// Derivatives along two random directions, by central differences. For cases with many variables,
/// more would take too long.
void check_slopes_along(const loss_formula& formula, const test_case& given,
                        const std::vector<result>& all) {
  std::mt19937 generator(5);
  for (int repeat = 0; repeat < 2; ++repeat) {
    for (const testing::slope& one : testing::slopes_along(formula, given, all, generator)) {
      CAPTURE(one.route);
      CHECK(std::abs(one.got - one.want) <= 1e-5 * one.gradient_norm + 1e-9);
    }
  }
}

/// Compares the derivatives of dual numbers with central differences.
void check_dual_numbers(const loss_formula& formula, const test_case& given,
                        const std::vector<double>& at, const expectation& want) {
  const auto sum = [&](const std::vector<double>& x) {
    const std::vector<double> losses = losses_of(formula, given, x).losses;
    return std::accumulate(losses.begin(), losses.end(), 0.0);
  };
  std::vector<double> slopes(at.size());
  for (const std::vector<double>& of_one : want.slopes)
    std::transform(slopes.begin(), slopes.end(), of_one.begin(), slopes.begin(), std::plus<>());
  CHECK(testing::relative_error(slopes, testing::central_differences(sum, at, 1e-6)) < 1e-5);
}

/// Dual numbers carry one derivative per variable, so they are slow for many variables. Above this
/// number, derivatives along two directions are checked instead.
constexpr std::size_t most_variables = 160;

/// The slots found by a loss that searches.
void check_slots(const loss_formula& formula, const test_case& given,
                 const std::vector<result>& all) {
  if (!formula.slots) return;
  const std::vector<std::string> names = formula.variables_of(given);
  const testing::formula_inputs<double> in(given, names, testing::joined(given, names));
  const std::vector<double> want = formula.slots(in);
  for (const result& got : all) {
    if (got.name == "slots") CHECK(got.value.data == want);
  }
}

template <class T>
void check_row(const registry& losses, const loss_case& row) {
  const loss_formula& formula = testing::formulas().at(row.loss);
  if (row.edge > 0 && !formula.holds_at_edges) return;
  test_case given = rounded<T>(row.given);
  given.threads = 2;
  const std::vector<double> at = testing::joined(given, formula.variables_of(given));
  const bool is_small = at.size() <= most_variables;
  const bool is_double = std::is_same_v<T, double>;
  if (!is_small && !is_double && row.type != "float") return;  // compared with double below
  const bool checks_slopes = !formula.differentiable.empty() && !testing::is_sanitized;
  if (!is_small || formula.differentiable.empty()) {
    const std::vector<result> all = run(losses, row.loss, given);
    check_losses<T>(row, given, all, losses_of(formula, given, at));
    check_slots(formula, given, all);
    if (checks_slopes && is_double && row.edge == 0) check_slopes_along(formula, given, all);
    return;
  }
  const expectation want =
      checks_slopes ? with_slopes(formula, given, at) : losses_of(formula, given, at);
  if (checks_slopes && is_double && row.edge == 0) check_dual_numbers(formula, given, at, want);
  for (const test_case& variant : variants_of(given, formula.variables_of(given))) {
    CAPTURE(variant.options.dump(), variant.stop_gradient, variant.accumulate);
    const std::vector<result> all = run(losses, row.loss, variant);
    check_losses<T>(row, variant, all, want);
    check_slots(formula, variant, all);
    // The loss alone and the loss with gradients agree up to rounding in double.
    for (const result& got : all) {
      if (row.edge == 0 && got.name == "loss")
        CHECK(testing::relative_error(got.value.data, all.front().value.data) <= 1e-14);
    }
    if (checks_slopes && (all_finite(want.losses) || want.losses.size() == 1))
      check_gradients<T>(row, formula, variant, all, want);
  }
}

}  // namespace

TEMPLATE_TEST_CASE("every loss and its gradients agree with the formula", "[loss][values]", double,
                   float, feaug::half, feaug::bfloat16) {
  const registry losses = conformance::cpu_losses<TestType>();
  for (const loss_case& row : testing::cpu_loss_cases()) {
    if (!row.is_for<TestType>()) continue;
    CAPTURE(row.given.name);
    check_row<TestType>(losses, row);
  }
}

namespace {

struct accuracy {
  double floor;
  double tolerance;
};

/// Losses that have their own code for each instruction set get tighter tolerances: only their
/// rounding errors.
template <class T>
accuracy accuracy_of(const loss_case& row, const result& got) {
  const bool is_loss = got.name == "loss" || got.name == "statistics";
  const bool has_passes =
      row.loss == "info_nce" || row.loss == "nt_xent" || row.loss == "symmetric_info_nce";
  if (has_passes && row.edge == 0 && !got.value.shape.empty()) {
    if (std::is_same_v<T, double>) return {.floor = is_loss ? 1e-2 : 1e-4, .tolerance = 1e-12};
    if (std::is_same_v<T, float> && got.name == "loss") return {.floor = 1e-2, .tolerance = 2e-6};
    if (std::is_same_v<T, float> && !is_loss) return {.floor = 1e-7, .tolerance = 1e-5};
  }
  if (is_loss) return {.floor = 1e-2, .tolerance = loss_tolerance<feaug::compute_t<T>>(row)};
  return {.floor = 1e-4, .tolerance = gradient_tolerance<T>(row, got)};
}

template <class T>
void check_against_double(const loss_case& row, const std::vector<result>& all,
                          const std::vector<result>& want) {
  REQUIRE(all.size() == want.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    const result& got = all[i];
    CAPTURE(got.name, got.route);
    if (got.exact || got.name == "slots") {
      CHECK(got.value.data == want[i].value.data);
      continue;
    }
    const accuracy allowed = accuracy_of<T>(row, got);
    CHECK(testing::relative_error(got.value.data, want[i].value.data, allowed.floor) <=
          allowed.tolerance);
    if (row.edge == 0) {
      CHECK(std::none_of(got.value.data.begin(), got.value.data.end(),
                         [](double x) { return std::isnan(x); }));
    }
  }
}

}  // namespace

TEMPLATE_TEST_CASE(
    "every loss agrees with double on each instruction set and has the same bits for any threads",
    "[loss]", double, float, feaug::half, feaug::bfloat16) {
  const registry losses = conformance::cpu_losses<TestType>();
  const registry in_double = conformance::cpu_losses<double>();
  for (const loss_case& row : testing::cpu_loss_cases()) {
    if (!row.is_for<TestType>()) continue;
    CAPTURE(row.given.name);
    test_case given = rounded<TestType>(row.given);
    given.threads = 1;
    given.instructions = feaug::instruction_set::portable;
    std::vector<result> want;
    if (!testing::is_sanitized) want = run(in_double, row.loss, given);
    testing::for_each_instruction_set([&](feaug::instruction_set set) {
      given.instructions = set;
      if (testing::is_sanitized) {
        given.threads = 3;
        CHECK_FALSE(run(losses, row.loss, given).empty());
        return;
      }
      given.threads = 1;
      const std::vector<result> alone = run(losses, row.loss, given);
      check_against_double<TestType>(row, alone, want);
      for (given.threads = 2; given.threads <= 3; ++given.threads) {
        const bool same =
            conformance::bits_of(run(losses, row.loss, given)) == conformance::bits_of(alone);
        CAPTURE(given.threads);
        CHECK(same);
      }
    });
  }
}

}  // namespace formula_test
