// Shared by the files of losses: converts the arguments of a call to feaug's types.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "views.hpp"

namespace feaug_torch {

/// A call with elements T, and the names of its arguments for messages.
template <class T>
class typed_call {
 public:
  using element = T;
  using number_type = feaug::compute_t<T>;

  typed_call(std::string_view op, std::span<const std::string_view> names, const loss_call& call)
      : op_(op), names_(names), call_(call) {}

  [[nodiscard]] operand<T> matrix(std::size_t at) const {
    return side_of<T>(op_, names_[at], call_.matrices[at]);
  }
  /// A temperature, a scale or a bias; empty if a plain number is given instead.
  [[nodiscard]] operand<number_type, 1> number(std::size_t at) const {
    return number_of<number_type>(op_, names_[call_.matrices.size() + at], call_.numbers[at]);
  }
  [[nodiscard]] vector_view<const index_t> labels() const {
    return vector<std::int64_t>(op_, "labels", call_.labels);
  }
  [[nodiscard]] vector_view<number_type> loss() const {
    return vector<number_type>(op_, "loss", call_.loss);
  }
  [[nodiscard]] vector_view<const number_type> by_loss() const {
    return vector<number_type>(op_, "by_loss", call_.by_loss);
  }
  /// by_loss as the weight of every row, so that it multiplies in float, before gradients are
  /// rounded to 16 bits.
  [[nodiscard]] vector_view<const number_type> weights(index_t rows) const {
    vector_view<const number_type> all = by_loss();
    if (all.size() == 0) return all;
    all.extents[0] = rows;
    all.strides[0] = 0;
    return all;
  }
  [[nodiscard]] index_t rows() const { return call_.matrices[0].value.rows; }

 private:
  std::string_view op_;
  std::span<const std::string_view> names_;
  const loss_call& call_;
};

/// Runs body(context, typed_call) for the type of the first matrix.
template <class Body>
void run_loss(const caller& from, std::string_view op, std::span<const std::string_view> names,
              const loss_call& call, const Body& body) {
  lend_context(from, [&](context& ctx) {
    with_element(op, names[0], call.matrices[0].value, [&](auto element) {
      body(ctx, typed_call<typename decltype(element)::type>(op, names, call));
    });
  });
}

}  // namespace feaug_torch
