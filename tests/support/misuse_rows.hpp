// Invalid calls of a loss. Each is made from a small valid call by damaging one argument, and has
// the error message of the functions that take this argument.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "feaug/core/error.hpp"
#include "support/loss_cases.hpp"

namespace testing {

using conformance::damage;

enum class seen_on : std::uint8_t { every_backend, host, device };

struct misuse {
  std::string loss;
  conformance::test_case given;
  std::string message;          ///< without the name at the start
  std::set<std::string> verbs;  ///< functions that must reject the call, by suffix of the name
  seen_on backend = seen_on::every_backend;
  std::string speaker = {};  ///< the name at the start of the message, if it is not the function's

  [[nodiscard]] std::string wanted(const std::string& verb) const {
    return (speaker.empty() ? loss + verb : speaker) + ": " + message;
  }
};

class misuse_rows {
 public:
  using verbs = std::set<std::string>;
  using kind = damage::kind;

  static inline const verbs all = {"", "_backward", "_with_gradients"};
  static inline const verbs with_loss = {"", "_with_gradients"};
  static inline const verbs with_gradient = {"_backward", "_with_gradients"};
  static inline const verbs with_statistics = {"", "_backward"};

  /// `matrices`: the feature matrices, in the order of the arguments.
  misuse_rows(std::vector<misuse>& to, loss_case valid, std::vector<std::string> matrices)
      : to_(to), valid_(std::move(valid)), matrices_(std::move(matrices)) {
    valid_.given.accumulate.clear();
  }

  /// Errors in the arguments that all losses share.
  void common() {
    for (const std::string& name : matrices_) matrix(name);
    for (const char* name : {"temperature", "scale", "bias"}) {
      if (has(name)) learnable(name);
    }
    finite("gradient_scale");
    reduced_loss();
    if (has("row_weights")) loss_a_row(valid_.given.inputs.at("row_weights").shape[0]);
  }

  [[nodiscard]] const std::vector<index_t>& shape(const std::string& name) const {
    return valid_.given.inputs.at(name).shape;
  }

  misuse& row(const std::string& message, const verbs& refusing = all) {
    to_.push_back({valid_.loss, valid_.given, message, refusing});
    return to_.back();
  }
  misuse& damaged(const damage& wrong, const std::string& message, const verbs& refusing = all) {
    misuse& made = row(called(wrong.argument) + ": got " + message, refusing);
    made.given.wrong = wrong;
    return made;
  }
  /// One extent of a view. The gradient is stopped, because its shape would not match either.
  misuse& extent(const std::string& name, std::size_t axis, index_t number,
                 const std::string& message, const verbs& refusing = all) {
    misuse& made = damaged({.argument = name, .what = kind::extent, .axis = axis, .number = number},
                           message, refusing);
    made.given.stop_gradient.insert(name);
    return made;
  }
  void null(const std::string& name, const std::vector<index_t>& shape,
            const verbs& refusing = all) {
    damaged({.argument = name, .what = kind::null},
            "a null pointer with shape " + text_of(shape) + ", wanted a pointer to its elements",
            refusing);
  }
  misuse& in_host_memory(const std::string& name, const verbs& refusing = all) {
    misuse& made = damaged({.argument = name, .what = kind::host_memory},
                           "a pointer to ordinary host memory, wanted device memory", refusing);
    made.backend = seen_on::device;
    return made;
  }
  void unreadable(const std::string& name, const verbs& refusing = all) {
    null(name, shape(name), refusing);
    in_host_memory(name, refusing);
  }
  misuse& overlapping(const std::string& name, const std::string& other,
                      const verbs& refusing = with_gradient) {
    return damaged({.argument = name, .what = kind::memory_of, .other = other},
                   "memory that overlaps " + called(other) + ", wanted memory of its own",
                   refusing);
  }

  /// shaped: a matrix with the shape of the first one. columns: with the same number of columns.
  void shaped(const std::string& name, const verbs& refusing = all) {
    for (const std::size_t axis : {0U, 1U}) {
      std::vector<index_t> less = shape(name);
      --less[axis];
      extent(name, axis, less[axis],
             "shape " + text_of(less) + ", wanted shape " + text_of(shape(name)) + " as " +
                 matrices_.front(),
             refusing);
    }
  }
  void columns(const std::string& name, const verbs& refusing = all) {
    const index_t cols = shape(name)[1];
    extent(name, 1, cols - 1,
           text_of(cols - 1) + " columns, wanted " + text_of(cols) + " as " + matrices_.front(),
           refusing);
  }
  /// A vector; `as` describes its elements.
  void sized(const std::string& name, const std::string& as, const verbs& refusing = all) {
    const index_t size = shape(name)[0];
    sized(name, size - 1, size, as, refusing);
    unreadable(name, refusing);
  }
  void statistics(index_t size, const std::string& as = "a number a row of the loss") {
    sized("statistics", size - 1, size, as, {""});
    sized("statistics", size - 1, size, "as the forward pass wrote them", {"_backward"});
    sized("statistics", 0, size, "as the forward pass wrote them", {"_backward"});
    null("statistics", {size}, with_statistics);
    in_host_memory("statistics", with_statistics);
  }

  /// Invalid numbers in the options. A learnable input of the same name is removed, because it
  /// would override the option.
  void numbers(const std::string& name, const std::vector<double>& values,
               const std::string& wanted, const std::string& prefix = "") {
    for (const double value : values) {
      misuse& made = row(prefix + name + ": got " + text_of(value) + ", wanted " + wanted);
      made.given.options[name] = value;
      made.given.inputs.erase(name);
    }
  }
  misuse& count(const std::string& name, index_t value, const std::string& wanted,
                const verbs& refusing = all) {
    misuse& made = row(name + ": got " + text_of(value) + ", wanted " + wanted, refusing);
    made.given.options[name] = value;
    return made;
  }
  void finite(const std::string& name) {
    numbers(name, {loss_rows::not_a_number, loss_rows::infinity}, "a finite number");
  }
  void positive(const std::string& name, const std::string& prefix = "") {
    numbers(name, {0, -0.5, loss_rows::not_a_number, loss_rows::infinity},
            "a finite number above 0", prefix);
  }

 private:
  void matrix(const std::string& name) {
    const index_t rows = shape(name)[0];
    const index_t cols = shape(name)[1];
    const std::string its_columns = text_of(cols) + " (its columns)";
    const std::string gradient = "gradient of " + name;
    // A null attention is valid: it means that the queries are used.
    if (name != "attention") null(name, shape(name));
    in_host_memory(name);
    damaged({.argument = name, .what = kind::stride, .axis = 1, .number = 2},
            "stride 2 along the features, wanted stride 1 (contiguous features)");
    damaged({.argument = name, .what = kind::stride, .axis = 0, .number = cols - 1},
            "row stride " + text_of(cols - 1) + ", wanted 0 or at least " + its_columns);
    if (name == matrices_.front()) {
      const std::string wanted = ", wanted at least one row and one column";
      extent(name, 0, 0, "shape " + text_of({0, cols}) + wanted);
      extent(name, 1, 0, "shape " + text_of({rows, 0}) + wanted);
    }
    if (!is_differentiable(name)) return;
    extent(gradient, 0, rows - 1,
           "shape " + text_of({rows - 1, cols}) + ", wanted shape " + text_of({rows, cols}) +
               " as " + name,
           with_gradient);
    null(gradient, {rows, cols}, with_gradient);
    in_host_memory(gradient, with_gradient);
    damaged({.argument = gradient, .what = kind::stride, .axis = 0, .number = 0},
            "row stride 0, wanted at least " + its_columns + ", since it is written",
            with_gradient);
    bool is_later = false;
    for (const std::string& other : matrices_) {
      overlapping(gradient, other);
      if (is_later && is_differentiable(other)) overlapping(gradient, "gradient of " + other);
      is_later = is_later || other == name;
    }
  }

  void learnable(const std::string& name) {
    const std::string gradient = "gradient of " + name;
    extent(name, 0, 2, "2 elements, wanted 1 (a scalar)");
    in_host_memory(name);
    extent(gradient, 0, 2, "2 elements, wanted 1 (" + called(name) + ")", with_gradient);
    null(gradient, {1}, with_gradient);
    in_host_memory(gradient, with_gradient);
    // On a device the value is read only by the kernels.
    const bool is_positive = name == "temperature";
    misuse& made = row(called(name) + (is_positive ? ": got 0, wanted a finite number above 0"
                                                   : ": got inf, wanted a finite number"));
    made.given.inputs.at(name).data = {is_positive ? 0 : loss_rows::infinity};
    made.backend = seen_on::host;
  }

  void reduced_loss() {
    sized("loss", 2, 1, "the reduced loss", with_loss);
    null("loss", {1}, with_loss);
    in_host_memory("loss", with_loss);
    extent("cotangent", 0, 0,
           has("row_weights") ? "no elements, wanted one, or one a row with reduce::none"
                              : "0 elements, wanted 1 (the elements of the loss)",
           {"_backward"});
    sized("cotangent", 3, 1, "the elements of the loss", {"_backward"});
    null("cotangent", {1}, {"_backward"});
    in_host_memory("cotangent", {"_backward"});
  }
  void loss_a_row(index_t losses) {
    sized("row_weights", "one a row of the loss");
    const std::size_t begin = to_.size();
    sized("loss", losses - 1, losses, "a loss a row", with_loss);
    damaged({.argument = "loss", .what = kind::stride, .axis = 0, .number = 0},
            "stride 0, wanted distinct elements, since it is written", with_loss);
    sized("cotangent", losses - 1, losses, "the elements of the loss", {"_backward"});
    for (std::size_t i = begin; i < to_.size(); ++i) to_[i].given.options["reduction"] = "none";
  }
  void sized(const std::string& name, index_t got, index_t wanted, const std::string& as,
             const verbs& refusing) {
    extent(name, 0, got, text_of(got) + " elements, wanted " + text_of(wanted) + " (" + as + ")",
           refusing);
  }

  [[nodiscard]] bool has(const std::string& name) const {
    return valid_.given.inputs.contains(name);
  }
  [[nodiscard]] bool is_differentiable(const std::string& name) const {
    return !valid_.given.stop_gradient.contains(name);
  }
  /// The library's name for an argument of a case.
  [[nodiscard]] std::string called(const std::string& argument) const {
    static const std::map<std::string, std::string> names = {
        {"temperature", "learnable_temperature"},
        {"scale", "learnable_scale"},
        {"bias", "learnable_bias"},
        {"first", "drawn.first"},
        {"second", "drawn.second"},
        {"weights", "drawn.weights"},
        {"noise", "drawn.noise"}};
    const std::string gradient = "gradient of ";
    if (argument.rfind(gradient, 0) == 0)
      return gradient + called(argument.substr(gradient.size()));
    if (argument == "ids" && has("support")) return "queue.ids";
    return names.contains(argument) ? names.at(argument) : argument;
  }
  static std::string text_of(const std::vector<index_t>& shape) {
    return conformance::shape_text(shape);
  }
  static std::string text_of(double number) { return feaug::check::text(number); }
  static std::string text_of(index_t number) { return feaug::check::text(number); }

  std::vector<misuse>& to_;
  loss_case valid_;
  std::vector<std::string> matrices_;
};

}  // namespace testing
