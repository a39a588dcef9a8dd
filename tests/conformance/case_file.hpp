// The cases of one operator, read from a file but not yet parsed beyond JSON, so that an invalid
// case does not affect the others.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace conformance {

struct case_file {
  std::string op;
  std::vector<nlohmann::json> cases;
};

/// Throws std::runtime_error if the file is missing, is not JSON or does not have the format
/// `{"op", "cases": [object, …]}`.
case_file read_case_file(const std::string& path);

}  // namespace conformance
