#include "comparison.hpp"

#include <algorithm>
#include <set>
#include <sstream>

#include "error_measure.hpp"
#include "nearest_rule.hpp"

namespace conformance {
namespace {

std::string label_of(const result& got) {
  return got.route.empty() ? got.name : got.name + " (" + got.route + ")";
}

void compare_values(const result& got, const tensor& want, double tolerance, dtype type,
                    verdict& judged) {
  const double error = error_of(got.value.data, want.data, type);
  const bool to_be_equal = got.exact || tolerance == 0;
  const bool right =
      to_be_equal ? equal(got.value.data, want.data, type) : error <= tolerance;  // false for NaN
  if (!right) {
    std::ostringstream line;
    line << label_of(got) << ": error " << error << ", tolerance ";
    if (to_be_equal) {
      line << "0 (equal)";
    } else {
      line << tolerance;
    }
    judged.failures.push_back(line.str());
  } else if (!to_be_equal) {
    judged.largest_share = std::max(judged.largest_share, error / tolerance);
  }
}

void compare_one(const test_case& one, const result& got, double tolerance, dtype type,
                 verdict& judged) {
  const auto found = one.expected.find(got.name);
  if (found == one.expected.end()) {
    judged.failures.push_back("expected." + got.name + " is missing");
    return;
  }
  const tensor& want = found->second;
  if (got.value.shape != want.shape) {
    judged.failures.push_back(label_of(got) + ": shape " + shape_text(got.value.shape) + ", want " +
                              shape_text(want.shape));
    return;
  }
  if (got.name == "indices") {
    const std::string wrong = wrong_indices(one, got.value, want, type);
    if (!wrong.empty()) judged.failures.push_back(label_of(got) + ": " + wrong);
    return;
  }
  compare_values(got, want, tolerance, type, judged);
}

}  // namespace

verdict compare(const test_case& one, const results& got, dtype type) {
  verdict judged;
  const auto tolerance = one.tolerance.find(name_of(type));
  if (tolerance == one.tolerance.end()) {
    judged.failures.push_back(std::string("tolerance.") + name_of(type) + " is missing");
    return judged;
  }
  std::set<std::string> produced;
  for (const result& output : got.all()) {
    produced.insert(output.name);
    compare_one(one, output, tolerance->second, type, judged);
  }
  for (const auto& [name, value] : one.expected) {
    if (!produced.contains(name)) judged.failures.push_back(name + ": no such output");
  }
  for (const auto& [name, value] : one.inputs) {
    // grad_out is the cotangent, not an input of the operator.
    if (name == "grad_out" || one.stop_gradient.contains(name)) continue;
    if (!produced.contains("grad_" + name)) {
      judged.failures.push_back("grad_" + name + ": no gradient by this input");
    }
  }
  return judged;
}

}  // namespace conformance
