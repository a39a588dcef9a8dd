#include "case_file.hpp"

#include <fstream>
#include <stdexcept>

namespace conformance {
namespace {

nlohmann::json read_json(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot be opened");
  try {
    return nlohmann::json::parse(file);
  } catch (const nlohmann::json::exception& problem) {
    throw std::runtime_error(std::string("not JSON: ") + problem.what());
  } catch (const std::ios_base::failure&) {
    // A directory can be opened, but not read.
    throw std::runtime_error("cannot be read");
  }
}

}  // namespace

case_file read_case_file(const std::string& path) {
  const nlohmann::json json = read_json(path);
  if (!json.is_object() || !json.contains("op") || !json["op"].is_string()) {
    throw std::runtime_error("not a case file: no string \"op\"");
  }
  if (!json.contains("cases") || !json["cases"].is_array() || json["cases"].empty()) {
    throw std::runtime_error("not a case file: no array \"cases\" with a case in it");
  }
  for (const auto& one : json["cases"]) {
    if (!one.is_object()) throw std::runtime_error("not a case file: a case is no object");
  }
  return {.op = json["op"].get<std::string>(),
          .cases = json["cases"].get<std::vector<nlohmann::json>>()};
}

}  // namespace conformance
