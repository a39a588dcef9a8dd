// An input of a case as an operand: constant if the case stops its gradient, else with a
// destination full of NaN.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <utility>

#include "arguments.hpp"
#include "feaug/core/operand.hpp"
#include "operators/arrays.hpp"
#include "results.hpp"

namespace conformance {

template <class Backend, class T, std::size_t Rank = 2>
class operand_input {
 public:
  operand_input(arguments& given, std::string name)
      : name_(std::move(name)),
        input_(given.input(name_)),
        stopped_(given.stopped(name_)),
        value_(rounded<T>(input_)),
        gradient_(unwritten<T>(stopped_ ? 0 : input_.data.size())) {
    if (Rank == 2 ? input_.shape.size() != 2 : input_.shape.size() > 1) {
      throw std::runtime_error("inputs." + name_ + " has shape " + shape_text(input_.shape));
    }
  }

  [[nodiscard]] feaug::tensor_view<const T, Rank, Backend::space> value() {
    return view_of<Backend, Rank, T>(value_, input_);
  }

  [[nodiscard]] feaug::operand<T, Rank, Backend::space> operand() {
    if (stopped_) return feaug::stop_gradient(value());
    return feaug::differentiable(value(), view_of<Backend, Rank, T>(gradient_, input_));
  }

  [[nodiscard]] bool wants_gradient() const { return !stopped_; }
  [[nodiscard]] const tensor& input() const { return input_; }

  /// Before another route to the same gradient.
  void forget_gradient() { gradient_.assign(unwritten<T>(stopped_ ? 0 : input_.data.size())); }

  void add_gradient(results& out, const std::string& route = "") const {
    if (!stopped_) out.add("grad_" + name_, input_.shape, gradient_.to_host(), route);
  }

 private:
  std::string name_;
  const tensor& input_;
  bool stopped_;
  typename Backend::template array<T> value_;
  typename Backend::template array<T> gradient_;
};

}  // namespace conformance
