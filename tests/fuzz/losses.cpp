// Random calls of losses: compared with double and with the loss's formula, on each instruction set,
// with several threads; and calls with a bad argument or option, which must be refused before
// anything is written.
#include "fuzz/losses.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
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
  static const conformance::registry all = [] {
    conformance::registry losses = conformance::cpu_losses<T>();
    for (const auto& [name, loss] : losses)
      require(loss_choices::makers().contains(name), "loss_choices.hpp makes no call of " + name);
    return losses;
  }();
  return all;
}

template <class T>
std::vector<result> run(const chosen_loss& chosen, const test_case& given) {
  return testing::run(losses_on<T>(), chosen.call.loss, given);
}

/// Matrices have the features' type, everything else the type of their sums.
bool is_matrix(const result& one) { return one.value.shape.size() == 2; }

template <class T>
double tolerance_of(const result& one) {
  if (is_matrix(one)) return tolerance<T>();
  // A scalar's gradient is a sum over all pairs.
  return (one.value.shape.empty() ? 10 : 1) * tolerance<feaug::compute_t<T>>();
}

double root_mean_square(const std::vector<double>& numbers) {
  double squares = 0;
  for (const double x : numbers)
    if (std::isfinite(x)) squares += x * x;
  return std::sqrt(squares / static_cast<double>(std::max<std::size_t>(numbers.size(), 1)));
}

/// The size below which only the absolute error counts: the terms of a loss are of size 1, those of
/// a gradient smaller by the number of losses, if it is of their mean. Without normalisation, logits
/// of several hundred have rounding errors that change every term, also where terms cancel (a
/// negative equals the positive). There the terms of a matrix have the root mean square of the
/// largest gradient, or of the rows if other gradients are not requested, and those of a temperature
/// the largest logit (of the statistics).
double floor_of(const test_case& given, const result& one, const std::vector<result>& want) {
  if (!one.name.starts_with("grad_")) return 1;
  const bool is_number = one.value.shape.empty();
  const double losses = static_cast<double>(given.inputs.begin()->second.shape.at(0));
  const double averaged = given.options.value("reduction", "mean") == "mean" ? losses : 1;
  double terms = is_number ? 1 : 0.01 / averaged;
  if (given.options.value("normalize", true)) return terms;
  for (const auto& [name, input] : given.inputs) {
    if (is_number || input.shape.size() != 2 || input.shape[1] != one.value.shape[1]) continue;
    terms = std::max(terms, root_mean_square(input.data) / averaged);
  }
  for (const result& other : want) {
    if (is_number && other.name == "statistics") {
      for (const double x : other.value.data)
        if (std::isfinite(x)) terms = std::max(terms, std::abs(x));
    }
    if (!is_number && other.name.starts_with("grad_") && is_matrix(other))
      terms = std::max(terms, root_mean_square(other.value.data));
  }
  return terms;
}

/// The numbers of a result. From accumulated gradients, what was there before is subtracted, unless
/// rounding to T has absorbed the gradient.
template <class T>
std::vector<double> numbers_of(const test_case& given, const result& one) {
  const std::string input = testing::input_of(one);
  if (input.empty() || sizeof(T) < sizeof(float)) return one.value.data;
  return testing::gradient_of(given, input, one);
}

template <class T>
void require_close(const test_case& given, const std::vector<result>& got, std::vector<result> want,
                   const std::string& where) {
  require(got.size() == want.size(), where + ": other results");
  for (std::size_t i = 0; i < got.size(); ++i) {
    const result& one = got[i];
    if (one.exact || one.name == "slots") {
      require(one.value.data == want[i].value.data, where + ": other numbers in " + name_of(one));
      continue;
    }
    if (is_matrix(one)) {  // half overflows
      for (double& x : want[i].value.data)
        x = static_cast<double>(feaug::load(conformance::rounded<T>(x)));
    }
    const double allowed = tolerance_of<T>(one);
    const double error = relative_error(numbers_of<T>(given, one), numbers_of<T>(given, want[i]),
                                        floor_of(given, one, want));
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
    // Central differences of small rows have errors of 1e-6.
    require(std::abs(one.got - one.want) <= 1e-4 * one.gradient_norm + 5e-6 * (1 + size),
            where + ": derivative " + std::to_string(one.got) + ", wanted " +
                std::to_string(one.want) + ", of " + one.route);
  }
}

template <class T>
void compare(const chosen_loss& chosen, choices& choose) {
  test_case given = testing::rounded<T>(chosen.call.given);
  call() = chosen.call.given.name + " on " + type_name<T>();
  for (const auto& [name, padding] : given.padding) {
    if (given.stop_gradient.contains(name)) call() += ", " + name + " stopped";
    if (given.accumulate.contains(name)) call() += ", " + name + " accumulated";
  }
  given.threads = 1;
  given.instructions = chosen_instructions(choose);
  const std::vector<result> got = run<T>(chosen, given);
  for (const result& one : got)
    require(!one.exact || one.value.data[0] == 0, name_of(one) + ": padding is overwritten");

  test_case other = given;
  other.threads = static_cast<int>(choose.between(2, 3));
  require_same_bits(run<T>(chosen, other), got, "with more threads");

  other.threads = 1;
  other.instructions = instruction_set::portable;
  if (chosen.has_extremes) {
    // Without normalisation, sums overflow or not, depending on their order.
    if (given.options.value("normalize", true))
      require_close<T>(given, run<T>(chosen, other), got, "on another instruction set");
    return;
  }
  for (const result& one : got) {
    require(std::none_of(one.value.data.begin(), one.value.data.end(),
                         [](double x) { return std::isnan(x); }),
            name_of(one) + ": NaN");
  }
  // The sign of a number near 0 depends on the type.
  if (std::is_same_v<T, double> || given.options.value("sign_stepped", 0) == 0)
    require_close<T>(given, got, run<double>(chosen, other), "beside double");
  if (std::is_same_v<T, double>)
    compare_with_formula(chosen, given, got, static_cast<std::uint32_t>(choose.between(0, 255)));
}

/// Damages the view of a random matrix, or of its gradient.
void damage_a_matrix(test_case& given, choices& choose) {
  using kind = conformance::damage::kind;
  std::vector<std::string> names;
  for (const auto& [name, padding] : given.padding) names.push_back(name);
  conformance::damage& made = given.wrong;
  const std::string name = choose.member_of(names);
  const auto& shape = given.inputs.at(name).shape;
  const bool is_gradient = !given.stop_gradient.contains(name) && choose.one_in(2);
  made.argument = is_gradient ? "gradient of " + name : name;
  switch (choose.between(0, 5)) {
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
      made.number = choose.one_in(2) ? shape[1] - 1 : -choose.between(1, 9);
      break;
    case 3:
      made.what = kind::stride;
      made.axis = 1;
      made.number = choose.one_of({std::int64_t{0}, std::int64_t{2}, std::int64_t{-1}});
      break;
    case 4:
      made.what = is_gradient ? kind::memory_of : kind::null;
      made.other = name;
      break;
    default:
      // A single matrix may have any width.
      made.what = names.size() > 1 || is_gradient ? kind::extent : kind::null;
      made.axis = 1;
      made.number = shape[1] + 1;
  }
  // A stride counts only between two rows or columns, and 0 repeats a row that is read.
  const bool is_unused = made.what == kind::stride && shape[made.axis] < 2;
  const bool is_repeated = made.what == kind::stride && made.axis == 0 && made.number == 0;
  if (is_unused || (is_repeated && !is_gradient)) made.what = kind::null;
}

/// Sets one of the options to a number that is refused.
void damage_an_option(test_case& given, choices& choose) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
  std::vector<std::string> positive;
  for (const char* name : {"temperature", "teacher_temperature", "label_temperature", "epsilon",
                           "eps", "t", "alpha"}) {
    if (given.options.contains(name)) positive.emplace_back(name);
  }
  if (positive.empty() || choose.one_in(3)) {
    given.options["gradient_scale"] = choose.one_of({infinity, -infinity, not_a_number});
    return;
  }
  const std::string name = choose.member_of(positive);
  given.inputs.erase(name);  // a learnable number would replace it
  given.options[name] = choose.one_of({0.0, -0.5, infinity, not_a_number});
}

/// The functions that read an argument.
std::vector<std::string> verbs_of(const std::string& loss, const std::string& argument) {
  if (argument.starts_with("gradient of ")) return {"_backward", "_with_gradients"};
  if (loss == "mean_shift" && argument == "targets") return {"", "_with_gradients"};
  return {"", "_backward", "_with_gradients"};
}

}  // namespace

void try_loss(choices& choose) {
  const chosen_loss chosen = loss_choices(choose).make();
  with_any_type(choose, [&]<class T>() { compare<T>(chosen, choose); });
}

void try_refused_loss(choices& choose) {
  static const conformance::refusal_registry losses = conformance::cpu_loss_refusals();
  testing::loss_case made = loss_choices(choose).make().call;
  const auto found = losses.find(made.loss);
  if (found == losses.end()) return;  // sinkhorn, which has one function
  test_case& given = made.given;
  given.stop_gradient.insert(given.accumulate.begin(), given.accumulate.end());
  given.accumulate.clear();
  // The views of these are optional, and null means that they are absent. A support is a queue's.
  for (const char* optional :
       {"negatives", "attention", "extra_scores_a", "extra_scores_b", "support"})
    given.padding.erase(optional);
  if (choose.one_in(3)) {
    damage_an_option(given, choose);
  } else {
    damage_a_matrix(given, choose);
  }
  call() = given.name + ", damaged: " + given.wrong.argument + " kind " +
           std::to_string(static_cast<int>(given.wrong.what)) + " axis " +
           std::to_string(given.wrong.axis) + " number " + std::to_string(given.wrong.number) +
           ", options " + given.options.dump();
  conformance::arguments asked(given);
  const std::vector<std::string> refusing = verbs_of(made.loss, given.wrong.argument);
  const conformance::refusals outcomes = found->second(asked, {"", "_backward", "_with_gradients"});
  for (const auto& [verb, outcome] : outcomes) {
    const bool is_refused = !outcome.message.empty();
    require(is_refused || std::find(refusing.begin(), refusing.end(), verb) == refusing.end(),
            made.loss + verb + " accepts it");
    require(!is_refused || !outcome.has_written,
            made.loss + verb + " wrote, and then refused: " + outcome.message);
  }
}

}  // namespace fuzz
