// A test case: inputs and options of an operator, and its expected outputs.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "feaug/cpu/core/instruction_set.hpp"
#include "support/operators/damage.hpp"
#include "support/operators/tensor.hpp"

namespace conformance {

struct test_case {
  std::string name;
  nlohmann::json options;
  std::map<std::string, tensor> inputs;
  std::set<std::string> stop_gradient;
  std::map<std::string, tensor> expected;
  std::map<std::string, double> tolerance;  ///< by dtype

  // Not in case files:
  std::set<std::string> accumulate;             ///< gradients that are accumulated
  std::map<std::string, std::int64_t> padding;  ///< elements after each row of an input
  damage wrong;                                 ///< the argument that the calls must reject
  int threads = 0;                              ///< of the CPU; 0: as many as the machine has
  feaug::instruction_set instructions = feaug::instruction_set::amx;  ///< of the CPU
};

/// The name of a case, or "?" if it has none.
std::string name_of(const nlohmann::json& json);

/// Throws std::runtime_error if the case does not have the required format.
///
/// The steps of a script (`expected.steps[]`) are flattened: step i's batch becomes the input
/// `steps[i].batch`; everything else becomes the expected outputs `steps[i].storage` and so on. The
/// rest of the program therefore handles only named tensors.
test_case read_test_case(const nlohmann::json& json);

}  // namespace conformance
