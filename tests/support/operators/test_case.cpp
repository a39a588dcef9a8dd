#include "support/operators/test_case.hpp"

#include <cmath>
#include <stdexcept>

namespace conformance {
namespace {

const nlohmann::json& member(const nlohmann::json& json, const std::string& name) {
  if (!json.contains(name)) throw std::runtime_error("\"" + name + "\" is missing");
  return json[name];
}

const nlohmann::json& object(const nlohmann::json& json, const std::string& name) {
  const nlohmann::json& found = member(json, name);
  if (!found.is_object()) throw std::runtime_error("\"" + name + "\" is no object");
  return found;
}

void read_steps(const nlohmann::json& steps, test_case& one) {
  if (!steps.is_array() || steps.empty()) {
    throw std::runtime_error("expected.steps: no array with a step in it");
  }
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const std::string prefix = "steps[" + std::to_string(i) + "].";
    for (const auto& [name, value] : steps[i].items()) {
      const std::string full_name = prefix + name;
      // Counters are plain numbers in the file.
      const tensor read = value.is_number() ? tensor{.shape = {}, .data = {value.get<double>()}}
                                            : read_tensor(full_name, value);
      if (name == "batch") {
        one.inputs[full_name] = read;
        one.stop_gradient.insert(full_name);
      } else {
        one.expected[full_name] = read;
      }
    }
  }
}

}  // namespace

std::string name_of(const nlohmann::json& json) {
  return json.contains("name") && json["name"].is_string() ? json["name"].get<std::string>() : "?";
}

test_case read_test_case(const nlohmann::json& json) {
  test_case one;
  one.name = name_of(json);
  one.options = object(json, "options");
  for (const auto& [name, value] : object(json, "inputs").items()) {
    one.inputs[name] = read_tensor("inputs." + name, value);
  }
  const nlohmann::json& stopped = member(json, "stop_gradient");
  if (!stopped.is_array()) throw std::runtime_error("\"stop_gradient\" is no array");
  for (const auto& name : stopped) {
    if (!name.is_string())
      throw std::runtime_error("\"stop_gradient\" holds something else than names");
    one.stop_gradient.insert(name.get<std::string>());
  }
  for (const auto& [name, value] : object(json, "expected").items()) {
    if (name == "steps") {
      read_steps(value, one);
    } else {
      one.expected[name] = read_tensor("expected." + name, value);
    }
  }
  for (const auto& [dtype, value] : object(json, "tolerance").items()) {
    if (!value.is_number() || !(value.get<double>() >= 0)) {
      throw std::runtime_error("tolerance." + dtype + " is no number of at least 0");
    }
    one.tolerance[dtype] = value.get<double>();
  }
  return one;
}

}  // namespace conformance
