// Random calls of losses: compared with double and with the loss's formula, on each instruction set,
// with several threads; and calls with a damaged argument, which must be refused before anything is
// written.
#include "fuzz/losses.hpp"

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "fuzz/loss_choices.hpp"
#include "fuzz/outcome.hpp"
#include "loss/expected_losses.hpp"
#include "support/operators/cpu_losses.hpp"

namespace fuzz {
namespace {

using conformance::test_case;
using feaug::instruction_set;

template <class T>
const conformance::registry& losses_on() {
  static const conformance::registry all = conformance::cpu_losses<T>();
  return all;
}

template <class T>
std::vector<result> run(const chosen_loss& chosen, const test_case& given) {
  return testing::run(losses_on<T>(), chosen.call.loss, given);
}

/// A loss that is a small difference of large terms has their rounding errors.
double floor_of(const result& one) {
  return one.name.starts_with("grad_") && !one.value.shape.empty() ? 1e-2 : 1;
}

/// The tolerance is `factor` times the type's.
template <class T>
void require_close(const std::vector<result>& got, std::vector<result> want, double factor,
                   const std::string& where) {
  require(got.size() == want.size(), where + ": other results");
  for (std::size_t i = 0; i < got.size(); ++i) {
    const result& one = got[i];
    if (one.exact || one.name == "slots") {
      require(one.value.data == want[i].value.data, where + ": other numbers in " + name_of(one));
      continue;
    }
    // A scalar's gradient is a sum over all pairs.
    const double allowed = (one.value.shape.empty() ? 10 : 1) * factor * tolerance<T>();
    if (one.value.shape.size() == 2) {  // of T: half overflows
      for (double& x : want[i].value.data)
        x = static_cast<double>(feaug::load(conformance::rounded<T>(x)));
    }
    const double error = relative_error(one.value.data, want[i].value.data, floor_of(one));
    require(error <= allowed, where + ": error " + std::to_string(error) + ", at most " +
                                  std::to_string(allowed) + ", in " + name_of(one));
  }
}

/// The loss in double and its derivative along a direction, by the loss's formula.
void compare_with_formula(const chosen_loss& chosen, const test_case& given,
                          const std::vector<result>& got, std::uint32_t seed) {
  const testing::loss_formula& formula = testing::formulas().at(chosen.call.loss);
  const std::vector<double> at = testing::joined(given, formula.variables_of(given));
  const testing::expectation want = testing::losses_of(formula, given, at);
  const std::string where = "beside the formula";
  for (const result& one : got) {
    if (one.name != "loss" && one.name != "out") continue;
    const std::vector<double> wanted =
        one.name == "out" ? want.losses : testing::wanted_losses(given, want);
    const double error = relative_error(one.value.data, wanted, 1);
    require(error <= 1e-8, where + ": error " + std::to_string(error) + " in " + name_of(one));
  }
  if (formula.differentiable.empty()) return;
  std::mt19937 generator(seed);
  double size = 0;
  for (const double loss : want.losses) size += std::abs(loss);
  for (const testing::slope& one : testing::slopes_along(formula, given, got, generator)) {
    require(std::abs(one.got - one.want) <= 1e-4 * one.gradient_norm + 1e-8 * (1 + size),
            where + ": derivative " + std::to_string(one.got) + ", wanted " +
                std::to_string(one.want) + ", of " + one.route);
  }
}

template <class T>
void compare(const chosen_loss& chosen, choices& choose) {
  test_case given = testing::rounded<T>(chosen.call.given);
  const auto set =
      choose.one_of({instruction_set::avx2, instruction_set::avx512, instruction_set::portable});
  call() = chosen.call.given.name + " on " + type_name<T>();
  for (const auto& [name, padding] : given.padding) {
    if (given.stop_gradient.contains(name)) call() += ", " + name + " stopped";
    if (given.accumulate.contains(name)) call() += ", " + name + " accumulated";
  }
  given.threads = 1;
  given.instructions = std::min(set, feaug::best_instruction_set());
  const std::vector<result> got = run<T>(chosen, given);
  for (const result& one : got)
    require(!one.exact || one.value.data[0] == 0, name_of(one) + ": padding is overwritten");

  test_case other = given;
  other.threads = static_cast<int>(choose.between(2, 3));
  require_same_bits(run<T>(chosen, other), got, "with more threads");

  other.threads = 1;
  other.instructions = instruction_set::portable;
  if (chosen.has_extremes) {
    // Types overflow at other numbers. So do sums in another order, unless rows are normalised.
    if (!given.options.value("normalize", true)) return;
    require_close<T>(run<T>(chosen, other), got, 100, "on another instruction set");
    return;
  }
  for (const result& one : got) {
    require(std::none_of(one.value.data.begin(), one.value.data.end(),
                         [](double x) { return std::isnan(x); }),
            name_of(one) + ": NaN");
  }
  require_close<T>(got, run<double>(chosen, other), 1, "beside double");
  if (std::is_same_v<T, double>)
    compare_with_formula(chosen, given, got, static_cast<std::uint32_t>(choose.between(0, 255)));
}

/// The arguments that a call with this name must refuse, whatever else it is given.
conformance::damage chosen_damage(const test_case& given, choices& choose) {
  using kind = conformance::damage::kind;
  std::vector<std::string> names;
  for (const auto& [name, padding] : given.padding) names.push_back(name);
  conformance::damage made{.argument = choose.member_of(names)};
  const auto& shape = given.inputs.at(made.argument).shape;
  switch (choose.between(0, 3)) {
    case 0:
      made.what = kind::null;
      break;
    case 1:
      made.what = kind::extent;
      made.axis = static_cast<std::size_t>(choose.between(0, 1));
      made.number = -choose.between(1, 9);
      break;
    case 2:
      made.what = kind::stride;
      made.axis = 0;
      made.number = -choose.between(1, 9);
      break;
    default:
      made.what = kind::stride;
      made.axis = 1;
      made.number = choose.one_of({std::int64_t{0}, std::int64_t{2}, std::int64_t{-1}});
  }
  // A stride counts only between two rows or columns.
  if (made.what == kind::stride && shape[made.axis] < 2) made.what = kind::null;
  if (!given.stop_gradient.contains(made.argument) && choose.one_in(2))
    made.argument = "gradient of " + made.argument;
  return made;
}

}  // namespace

void try_loss(choices& choose) {
  const chosen_loss chosen = loss_choices(choose).make();
  switch (choose.between(0, 3)) {
    case 0:
      return compare<float>(chosen, choose);
    case 1:
      return compare<double>(chosen, choose);
    case 2:
      return compare<feaug::half>(chosen, choose);
    default:
      return compare<feaug::bfloat16>(chosen, choose);
  }
}

void try_refused_loss(choices& choose) {
  static const conformance::refusal_registry losses = conformance::cpu_loss_refusals();
  testing::loss_case call = loss_choices(choose).make().call;
  const auto found = losses.find(call.loss);
  if (found == losses.end()) return;  // sinkhorn
  test_case& given = call.given;
  for (const std::string& name : given.accumulate) given.stop_gradient.insert(name);
  given.accumulate.clear();
  // The views of these are optional, and null means that they are absent. A support is a queue's.
  for (const char* optional :
       {"negatives", "attention", "extra_scores_a", "extra_scores_b", "support"})
    given.padding.erase(optional);
  given.wrong = chosen_damage(given, choose);
  conformance::arguments asked(given);
  bool is_refused = false;
  const conformance::verb_names verbs = {"", "_backward", "_with_gradients"};
  for (const auto& [verb, outcome] : found->second(asked, verbs)) {
    if (outcome.message.empty()) continue;
    is_refused = true;
    require(!outcome.has_written,
            call.loss + verb + " wrote, and then refused: " + outcome.message);
  }
  require(is_refused, call.loss + ": accepts a bad " + given.wrong.argument);
}

}  // namespace fuzz
