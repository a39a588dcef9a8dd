// A case file as it is: the cases of one operator, still JSON, so that one bad case does not take
// the others with it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace conformance {

struct case_file {
  std::string op;
  std::vector<nlohmann::json> cases;
};

/// Throws std::runtime_error for a file that is missing, is not JSON or is not `{"op", "cases":
/// [object, …]}`.
case_file read_case_file(const std::string& path);

}  // namespace conformance
