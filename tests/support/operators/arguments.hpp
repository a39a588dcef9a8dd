// A case as an operator's function sees it. It notes what was asked for, so that an option or input
// that nobody asked for (one that the operator does not have, or a misspelt one) makes the case
// fail instead of being ignored.
#pragma once

#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "feaug/core/operand.hpp"
#include "support/operators/test_case.hpp"

namespace conformance {

class arguments {
 public:
  explicit arguments(const test_case& one) : case_(one) {}

  [[nodiscard]] bool has(const std::string& name) const { return case_.inputs.contains(name); }

  [[nodiscard]] const tensor& input(const std::string& name) {
    used_inputs_.insert(name);
    const auto found = case_.inputs.find(name);
    if (found == case_.inputs.end()) throw std::runtime_error("inputs." + name + " is missing");
    return found->second;
  }

  /// Like input, and of `rank` axes.
  [[nodiscard]] const tensor& input(const std::string& name, std::size_t rank) {
    const tensor& found = input(name);
    if (found.shape.size() != rank) {
      throw std::runtime_error("inputs." + name + " has shape " + shape_text(found.shape) +
                               ", wanted " + std::to_string(rank) + " axes");
    }
    return found;
  }

  /// Notes that an input is given but plays no part in this case.
  void ignore(const std::string& name) { used_inputs_.insert(name); }

  [[nodiscard]] bool stopped(const std::string& name) const {
    return case_.stop_gradient.contains(name);
  }

  [[nodiscard]] feaug::gradient_mode mode(const std::string& name) const {
    if (stopped(name)) return feaug::gradient_mode::none;
    return case_.accumulate.contains(name) ? feaug::gradient_mode::accumulate
                                           : feaug::gradient_mode::overwrite;
  }

  /// Elements between an input's rows, which nobody may touch.
  [[nodiscard]] std::int64_t padding(const std::string& name) const {
    const auto found = case_.padding.find(name);
    return found == case_.padding.end() ? 0 : found->second;
  }

  [[nodiscard]] bool is_strided() const { return !case_.padding.empty(); }

  [[nodiscard]] bool misplaced(const std::string& name) const { return case_.misplaced == name; }

  [[nodiscard]] bool has_option(const std::string& name) const {
    return case_.options.contains(name);
  }

  /// An option, or its default.
  template <class Value>
  [[nodiscard]] Value option(const std::string& name, Value otherwise) {
    used_options_.insert(name);
    if (!case_.options.contains(name)) return otherwise;
    const nlohmann::json& value = case_.options[name];
    if (!is_a<Value>(value)) {
      throw std::runtime_error("option " + name + " has an unusable value " + value.dump());
    }
    return value.get<Value>();
  }

  /// An option that is one of several words, or its default.
  template <class Value>
  [[nodiscard]] Value choice(const std::string& name, const std::string& otherwise,
                             const std::map<std::string, Value>& words) {
    const auto word = option<std::string>(name, otherwise);
    const auto found = words.find(word);
    if (found == words.end())
      throw std::runtime_error("option " + name + ": no value \"" + word + "\"");
    return found->second;
  }

  /// Throws if the case has an option or input that was never asked for.
  void require_all_used() const {
    for (const auto& [name, value] : case_.options.items()) {
      if (!used_options_.contains(name)) throw std::runtime_error("no option " + name);
    }
    for (const auto& [name, value] : case_.inputs) {
      if (!used_inputs_.contains(name)) throw std::runtime_error("no input " + name);
    }
  }

 private:
  template <class Value>
  static bool is_a(const nlohmann::json& value) {
    if constexpr (std::is_same_v<Value, bool>) return value.is_boolean();
    if constexpr (std::is_same_v<Value, std::string>) return value.is_string();
    if constexpr (std::is_integral_v<Value>) return value.is_number_integer();
    if constexpr (std::is_floating_point_v<Value>) return value.is_number();
    return false;
  }

  const test_case& case_;
  std::set<std::string> used_inputs_;
  std::set<std::string> used_options_;
};

}  // namespace conformance
