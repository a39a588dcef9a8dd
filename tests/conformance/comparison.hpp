// Compares an operator's outputs with the expected outputs.
#pragma once

#include <string>
#include <vector>

#include "backends.hpp"
#include "support/operators/results.hpp"
#include "support/operators/test_case.hpp"

namespace conformance {

struct verdict {
  std::vector<std::string> failures;  ///< one line each; empty if the case passed
  double largest_share = 0;           ///< the largest error divided by its tolerance
};

verdict compare(const test_case& one, const results& got, dtype type);

}  // namespace conformance
