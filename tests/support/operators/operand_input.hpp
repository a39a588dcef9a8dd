// Inputs of a case: as an operand, constant if the case stops its gradient, else with a destination
// full of NaN, or of numbers that the gradient is added to; and as plain numbers.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "feaug/core/operand.hpp"
#include "support/operators/arguments.hpp"
#include "support/operators/arrays.hpp"
#include "support/operators/results.hpp"

namespace conformance {

template <class Backend, class T, std::size_t Rank = 2>
class operand_input {
 public:
  operand_input(arguments& given, std::string name)
      : name_(std::move(name)),
        input_(given.input(name_)),
        mode_(given.mode(name_)),
        padding_(given.padding(name_)),
        gradient_padding_(Rank == 2 && given.is_strided() ? 1 : 0),
        value_(with_padding(rounded<T>(input_), input_, padding_), given.misplaced(name_)),
        gradient_(before()) {
    if (Rank == 2 ? input_.shape.size() != 2 : input_.shape.size() > 1) {
      throw std::runtime_error("inputs." + name_ + " has shape " + shape_text(input_.shape));
    }
  }

  [[nodiscard]] feaug::tensor_view<const T, Rank, Backend::space> value() {
    return view_of<Backend, Rank, T>(value_, input_, padding_);
  }

  [[nodiscard]] feaug::operand<T, Rank, Backend::space> operand() {
    if (!wants_gradient()) return feaug::stop_gradient(value());
    return {.value = value(),
            .gradient = view_of<Backend, Rank, T>(gradient_, input_, gradient_padding_),
            .mode = mode_};
  }

  [[nodiscard]] bool wants_gradient() const { return mode_ != feaug::gradient_mode::none; }
  [[nodiscard]] const tensor& input() const { return input_; }

  /// Before another route to the same gradient.
  void forget_gradient() { gradient_.assign(before()); }

  void add_gradient(results& out, const std::string& route = "") const {
    if (!wants_gradient()) return;
    const auto [rows, damaged] = without_padding(gradient_.to_host(), input_, gradient_padding_);
    out.add("grad_" + name_, input_.shape, rows, route);
    if (gradient_padding_ > 0) out.add_counter("damaged padding of grad_" + name_, damaged);
  }

 private:
  /// What the destination holds before.
  [[nodiscard]] std::vector<T> before() const {
    std::vector<T> rows = unwritten<T>(wants_gradient() ? input_.data.size() : 0);
    if (mode_ == feaug::gradient_mode::accumulate) {
      for (std::size_t i = 0; i < rows.size(); ++i)
        rows[i] = rounded<T>(0.25 * static_cast<double>((i * 7 + 2) % 11));
    }
    return with_padding(rows, input_, gradient_padding_);
  }

  std::string name_;
  const tensor& input_;
  feaug::gradient_mode mode_;
  std::int64_t padding_;
  std::int64_t gradient_padding_;
  placed_array<Backend, T> value_;
  typename Backend::template array<T> gradient_;
};

/// Numbers of a case that are no features: ids, ranks, weights.
template <class Backend, class Number, std::size_t Rank>
class number_input {
 public:
  number_input(arguments& given, const std::string& name)
      : input_(given.input(name, Rank)), numbers_(rounded<Number>(input_), given.misplaced(name)) {}
  [[nodiscard]] feaug::tensor_view<Number, Rank, Backend::space> view() {
    return view_of<Backend, Rank, Number>(numbers_, input_);
  }

 private:
  const tensor& input_;
  placed_array<Backend, Number> numbers_;
};

}  // namespace conformance
