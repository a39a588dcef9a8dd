// Inputs of a case. As operands: constants if the case stops the gradient, otherwise with a
// destination filled with NaN or, to accumulate, with numbers. Also as plain numbers.
#pragma once

#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "feaug/core/operand.hpp"
#include "support/operators/arguments.hpp"
#include "support/operators/arrays.hpp"
#include "support/operators/results.hpp"

namespace conformance {

/// Element i of a destination before a gradient is accumulated.
inline double added_to(std::size_t i) { return 0.25 * static_cast<double>((i * 7 + 2) % 11); }

template <class Backend, class T, std::size_t Rank = 2>
class operand_input {
 public:
  operand_input(arguments& given, std::string name)
      : given_(given),
        name_(std::move(name)),
        input_(given.input(name_)),
        mode_(given.mode(name_)),
        padding_(given.padding(name_)),
        gradient_padding_(Rank == 2 && given.is_strided() ? 1 : 0),
        value_(with_padding(rounded<T>(input_), input_, padding_), given.misplaced(name_)),
        gradient_(with_padding(before(), input_, gradient_padding_),
                  given.misplaced("gradient of " + name_)) {
    if (Rank == 2 ? input_.shape.size() != 2 : input_.shape.size() > 1) {
      throw std::runtime_error("inputs." + name_ + " has shape " + shape_text(input_.shape));
    }
    given.place(name_, value_.data());
    given.place("gradient of " + name_, gradient_.data());
  }

  [[nodiscard]] feaug::tensor_view<const T, Rank, Backend::space> value() {
    feaug::tensor_view<const T, Rank, Backend::space> all =
        view_of<Backend, Rank, T>(value_, input_, padding_);
    return given_.passed(name_, all);
  }

  [[nodiscard]] feaug::operand<T, Rank, Backend::space> operand() {
    if (!wants_gradient()) return feaug::stop_gradient(value());
    return {
        .value = value(),
        .gradient = given_.passed("gradient of " + name_,
                                  view_of<Backend, Rank, T>(gradient_, input_, gradient_padding_)),
        .mode = mode_};
  }

  [[nodiscard]] bool wants_gradient() const { return mode_ != feaug::gradient_mode::none; }
  [[nodiscard]] const tensor& input() const { return input_; }

  /// Restores the initial contents of the destination, before another route. Views of it remain
  /// valid.
  void forget_gradient() { gradient_.assign(with_padding(before(), input_, gradient_padding_)); }

  /// Whether the input still has the case's values.
  [[nodiscard]] bool is_intact() const {
    const std::vector<T> now = value_.to_host();
    const std::vector<T> before = with_padding(rounded<T>(input_), input_, padding_);
    return now.size() == before.size() &&
           (now.empty() || std::memcmp(now.data(), before.data(), now.size() * sizeof(T)) == 0);
  }

  void add_gradient(results& out, const std::string& route = "") const {
    if (!wants_gradient()) return;
    const auto [rows, damaged] = without_padding(gradient_.to_host(), input_, gradient_padding_);
    out.add("grad_" + name_, input_.shape, rows, route);
    if (gradient_padding_ > 0) out.add_counter("damaged padding of grad_" + name_, damaged);
  }

 private:
  /// The initial contents of the destination.
  [[nodiscard]] std::vector<T> before() const {
    std::vector<T> rows = unwritten<T>(wants_gradient() ? input_.data.size() : 0);
    if (mode_ == feaug::gradient_mode::accumulate) {
      for (std::size_t i = 0; i < rows.size(); ++i) rows[i] = rounded<T>(added_to(i));
    }
    return rows;
  }

  arguments& given_;
  std::string name_;
  const tensor& input_;
  feaug::gradient_mode mode_;
  std::int64_t padding_;
  std::int64_t gradient_padding_;
  placed_array<Backend, T> value_;
  placed_array<Backend, T> gradient_;
};

/// Numbers of a case that are not features: ids, ranks, weights.
template <class Backend, class Number, std::size_t Rank>
class number_input {
 public:
  number_input(arguments& given, std::string name)
      : given_(given),
        name_(std::move(name)),
        input_(given.input(name_, Rank)),
        numbers_(rounded<Number>(input_), given.misplaced(name_)) {
    given.place(name_, numbers_.data());
  }
  [[nodiscard]] feaug::tensor_view<Number, Rank, Backend::space> view() {
    return given_.passed(name_, view_of<Backend, Rank, Number>(numbers_, input_));
  }

 private:
  arguments& given_;
  std::string name_;
  const tensor& input_;
  placed_array<Backend, Number> numbers_;
};

}  // namespace conformance
