#include "fuzz/augmentations.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "fuzz/outcome.hpp"
#include "support/augmentation_case.hpp"
#include "support/augmentation_runs.hpp"
#include "support/operators/arrays.hpp"

namespace fuzz {
namespace {

using conformance::test_case;
using feaug::index_t;
using feaug::instruction_set;
using testing::augmentation_case;

template <class T>
const std::vector<augmentation_case>& augmentations_on() {
  static const std::vector<augmentation_case> all = testing::cpu_augmentations<T>();
  return all;
}

const result& find(const std::vector<result>& all, const std::string& name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const result& one) { return one.name == name; });
  require(found != all.end(), "no " + name);
  return *found;
}

/// True for inputs of features, which have the type under test.
bool is_features(const std::string& name, const conformance::tensor& input) {
  return input.shape.size() == 2 && !name.starts_with("state.");
}

template <class T>
void round_features(test_case& given) {
  for (auto& [name, input] : given.inputs) {
    if (!is_features(name, input)) continue;
    for (double& x : input.data) x = static_cast<double>(feaug::load(conformance::rounded<T>(x)));
  }
}

/// A call: all inputs that the augmentation reads, of random size and layout.
template <class T>
test_case chosen_call(const augmentation_case& row, choices& choose, bool& has_extremes) {
  const index_t least_rows = choose.one_in(8) ? 0 : 1;
  const index_t most_rows = choose.one_in(8) ? 70 : 9;
  const index_t rows = choose.between(least_rows, most_rows);
  const index_t least_cols = std::max(row.least_cols, index_t{choose.one_in(16) ? 0 : 1});
  const index_t most_cols = choose.one_in(6) ? 140 : 20;
  const index_t cols = choose.between(least_cols, most_cols);
  test_case made = testing::features_of(row, rows, cols);
  made.options["seed"] = static_cast<std::uint64_t>(choose.any_integer());
  made.options["step"] = choose.between(0, 0xFFFFFFFF);
  made.options["stream"] = choose.between(0, 60000);
  made.options["row_offset"] = choose.between(0, index_t{1} << 40U);
  for (auto& [name, padding] : made.padding) padding = choose.between(0, 4);
  testing::run(row, made);  // adds the other inputs
  for (auto& [name, input] : made.inputs) {
    if (!is_features(name, input) || name == "indices") continue;
    const double scale = name == "log_variance" ? 1 : choose.one_of({1.0, 1.0, 0.1, 4.0});
    input.data = choose.normal(input.data.size());
    for (double& x : input.data) x *= scale;
  }
  has_extremes = !made.inputs.at(row.x).data.empty() && choose.one_in(6);
  if (has_extremes) {
    auto& data = made.inputs.at(row.x).data;
    data[static_cast<std::size_t>(choose.between(0, static_cast<index_t>(data.size()) - 1))] =
        choose.extreme();
  }
  for (const std::string& side : testing::sides_of(row, made)) {
    const auto mode = choose.between(0, 2);
    if (mode == 1) made.accumulate.insert(side);
    if (mode == 2) made.stop_gradient.insert(side);
  }
  round_features<T>(made);
  return made;
}

bool is_of_features(const result& one) {
  return one.name == "out" || one.name.starts_with("grad_");
}

/// Features, gradients and drawn numbers are equal within rounding; slots have the same bits.
template <class T>
void compare_features(const std::vector<result>& got, const std::vector<result>& want,
                      const std::string& where) {
  require(got.size() == want.size(), where + ": other results");
  for (std::size_t i = 0; i < got.size(); ++i) {
    const result& one = got[i];
    // Searches and choices are exact.
    for (const char* exact : {"indices", "rows_used", "permutation", "choice"}) {
      if (one.name == exact) require_same_bits({one}, {want[i]}, where);
    }
    const double error = relative_error(one.value.data, want[i].value.data, 1e-1);
    require(error <= tolerance<T>(),
            where + ": error " + std::to_string(error) + " in " + name_of(one));
  }
}

/// A row of the table on T, and the same on double, if the tables have it.
template <class T>
void compare(choices& choose) {
  const augmentation_case& row = choose.member_of(augmentations_on<T>());
  bool has_extremes = false;
  test_case given = chosen_call<T>(row, choose, has_extremes);
  given.instructions = chosen_instructions(choose);
  const std::string name = row.name + ": ";
  call() = name + given.name + " " + given.options.dump() + " on " + type_name<T>();
  const std::vector<result> got = testing::run(row, given);
  for (const result& one : got) {
    require(!one.exact || one.value.data[0] == 0, name + name_of(one));
    require(conformance::bits_of({one}) == conformance::bits_of({find(got, one.name)}),
            name + "other bits in " + name_of(one));
    require(has_extremes || !is_of_features(one) ||
                std::none_of(one.value.data.begin(), one.value.data.end(),
                             [](double x) { return std::isnan(x); }),
            name + "NaN in " + name_of(one));
  }
  test_case other = given;
  other.options["threads"] = choose.between(2, 3);
  require_same_bits(testing::run(row, other), got, name + "with more threads");
  other.options["threads"] = 1;
  other.instructions = instruction_set::portable;
  compare_features<T>(testing::run(row, other), got, name + "on another instruction set");

  const index_t rows = given.inputs.at(row.x).shape[0];
  const index_t cols = given.inputs.at(row.x).shape[1];
  if (row.by_row && rows > 1) {
    const index_t begin = choose.between(0, rows - 1);
    test_case part = testing::micro_batch(given, begin, choose.between(1, rows - begin));
    const std::vector<double>& whole = find(got, "out").value.data;
    const std::vector<result> of_part = testing::run(row, part);
    const auto size = static_cast<std::ptrdiff_t>(find(of_part, "out").value.data.size());
    const auto from = whole.begin() + begin * cols;
    const std::vector<double> wanted(from, from + size);
    require(conformance::bits_of(
                {{.name = "out", .route = "", .value = {.shape = {}, .data = wanted}}}) ==
                conformance::bits_of({find(of_part, "out")}),
            name + "other bits in a micro-batch");
  }

  const auto& in_double = augmentations_on<double>();
  const auto same = std::find_if(in_double.begin(), in_double.end(),
                                 [&](const auto& one) { return one.name == row.name; });
  if (has_extremes || same == in_double.end()) return;
  compare_features<T>(got, testing::run(*same, other), name + "beside double");
}

}  // namespace

void try_augmentation(choices& choose) {
  with_any_type(choose, [&]<class T>() { compare<T>(choose); });
}

void try_refused_augmentation(choices& choose) {
  using kind = conformance::damage::kind;
  const augmentation_case& row = choose.member_of(augmentations_on<float>());
  bool has_extremes = false;
  test_case given = chosen_call<float>(row, choose, has_extremes);
  const auto& shape = given.inputs.at(row.x).shape;
  if (shape[0] < 2 || shape[1] < 2) return;
  given.accumulate.clear();
  const bool is_gradient = !given.stop_gradient.contains(row.x) && choose.one_in(2);
  given.wrong.argument = is_gradient ? "gradient of " + row.x : row.x;
  given.wrong.what = choose.one_of({kind::null, kind::extent, kind::stride});
  given.wrong.axis = static_cast<std::size_t>(choose.between(0, 1));
  given.wrong.number = -choose.between(1, 9);
  call() = row.name + ": " + given.name + ", damaged: " + given.wrong.argument + " kind " +
           std::to_string(static_cast<int>(given.wrong.what)) + " axis " +
           std::to_string(given.wrong.axis);
  try {
    testing::run(row, given);
  } catch (const feaug::argument_error& refused) {
    return;  // the adapter has checked that nothing was written
  }
  report("accepts it");
}

}  // namespace fuzz
