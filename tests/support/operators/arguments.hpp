// A case as the function of an operator reads it. It records which options and inputs were read. A
// case with an unread one (unknown to the operator, or misspelt) fails.
#pragma once

#include <functional>
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

  /// For a case that has only some of its inputs: inputs created by the operator are added to it.
  static arguments adding_to(test_case& one) {
    arguments given(one);
    given.added_to_ = &one;
    return given;
  }
  void provide(const std::string& name, const std::function<tensor()>& make) {
    if (added_to_ != nullptr && !has(name)) added_to_->inputs[name] = make();
  }

  [[nodiscard]] bool has(const std::string& name) const { return case_.inputs.contains(name); }

  [[nodiscard]] const tensor& input(const std::string& name) {
    used_inputs_.insert(name);
    const auto found = case_.inputs.find(name);
    if (found == case_.inputs.end()) throw std::runtime_error("inputs." + name + " is missing");
    return found->second;
  }

  /// Like input, and requires `rank` axes.
  [[nodiscard]] const tensor& input(const std::string& name, std::size_t rank) {
    const tensor& found = input(name);
    if (found.shape.size() != rank) {
      throw std::runtime_error("inputs." + name + " has shape " + shape_text(found.shape) +
                               ", wanted " + std::to_string(rank) + " axes");
    }
    return found;
  }

  /// Marks an input that this case does not use as read.
  void ignore(const std::string& name) { used_inputs_.insert(name); }

  [[nodiscard]] bool stopped(const std::string& name) const {
    return case_.stop_gradient.contains(name);
  }

  [[nodiscard]] feaug::gradient_mode mode(const std::string& name) const {
    if (stopped(name)) return feaug::gradient_mode::none;
    return case_.accumulate.contains(name) ? feaug::gradient_mode::accumulate
                                           : feaug::gradient_mode::overwrite;
  }

  /// Number of padding elements after each row of an input. They must not be overwritten.
  [[nodiscard]] std::int64_t padding(const std::string& name) const {
    const auto found = case_.padding.find(name);
    return found == case_.padding.end() ? 0 : found->second;
  }

  [[nodiscard]] bool is_strided() const { return !case_.padding.empty(); }

  [[nodiscard]] bool misplaced(const std::string& name) const {
    return case_.wrong.argument == name && case_.wrong.what == damage::kind::host_memory;
  }

  /// Records the address of an argument, for another argument that must overlap it.
  void place(const std::string& name, void* memory) { places_[name] = memory; }

  /// The view that a call receives; damaged if the case requires it.
  template <class View>
  [[nodiscard]] View passed(const std::string& name, View view) const {
    const damage& wrong = case_.wrong;
    if (wrong.argument != name) return view;
    if (wrong.what == damage::kind::null) view.data = nullptr;
    if (wrong.what == damage::kind::extent) view.extents[wrong.axis] = wrong.number;
    if (wrong.what == damage::kind::stride) view.strides[wrong.axis] = wrong.number;
    if (wrong.what == damage::kind::memory_of)
      view.data = static_cast<decltype(view.data)>(places_.at(wrong.other));
    return view;
  }

  [[nodiscard]] int threads() const { return case_.threads; }
  [[nodiscard]] feaug::instruction_set instructions() const { return case_.instructions; }

  [[nodiscard]] bool has_option(const std::string& name) const {
    return case_.options.contains(name);
  }

  /// An option, or its default value.
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

  /// An option with a fixed set of words, or its default value.
  template <class Value>
  [[nodiscard]] Value choice(const std::string& name, const std::string& otherwise,
                             const std::map<std::string, Value>& words) {
    const auto word = option<std::string>(name, otherwise);
    const auto found = words.find(word);
    if (found == words.end())
      throw std::runtime_error("option " + name + ": no value \"" + word + "\"");
    return found->second;
  }

  /// Throws if the case has an option or input that was never read.
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
  test_case* added_to_ = nullptr;
  std::set<std::string> used_inputs_;
  std::set<std::string> used_options_;
  std::map<std::string, void*> places_;
};

}  // namespace conformance
