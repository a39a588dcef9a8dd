// One case: what an operator is given, and what is to come out.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "support/operators/tensor.hpp"

namespace conformance {

struct test_case {
  std::string name;
  nlohmann::json options;
  std::map<std::string, tensor> inputs;
  std::set<std::string> stop_gradient;
  std::map<std::string, tensor> expected;
  std::map<std::string, double> tolerance;  ///< by dtype

  // What case files do not speak of.
  std::set<std::string> accumulate;             ///< gradients that are added to what is there
  std::map<std::string, std::int64_t> padding;  ///< elements between the rows of an input
  std::string misplaced;  ///< what lies in ordinary host memory, whatever the backend
};

/// A case's name, or "?" where it has none.
std::string name_of(const nlohmann::json& json);

/// Throws std::runtime_error for a case that is not of the format.
///
/// A script (`expected.steps[]`) is spread out: step i's batch becomes the input `steps[i].batch`,
/// all else of the step the expected outputs `steps[i].storage` and so on. So the rest of the
/// program knows tensors by name and nothing else.
test_case read_test_case(const nlohmann::json& json);

}  // namespace conformance
