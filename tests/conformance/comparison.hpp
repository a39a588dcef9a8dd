// From what came out of an operator to a verdict.
#pragma once

#include <string>
#include <vector>

#include "backends.hpp"
#include "support/operators/results.hpp"
#include "support/operators/test_case.hpp"

namespace conformance {

struct verdict {
  std::vector<std::string> failures;  ///< a line each; empty: passed
  double largest_share = 0;           ///< the largest error as a share of its tolerance
};

verdict compare(const test_case& one, const results& got, dtype type);

}  // namespace conformance
