// Shared by the files of losses: converts the arguments of a call to feaug's types.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "views.hpp"

namespace feaug_python {

/// A call with elements T.
template <class T>
class typed_call {
 public:
  using element = T;
  using number_type = feaug::compute_t<T>;

  explicit typed_call(const loss_call& call) : call_(call) {}

  [[nodiscard]] operand<T> matrix(std::size_t at) const {
    return side_of<T>(call_.op, call_.names[at], call_.matrices[at]);
  }
  /// A temperature, a scale or a bias; empty if a plain number is given instead.
  [[nodiscard]] operand<number_type, 1> number(std::size_t at) const {
    return number_of<number_type>(call_.op, call_.names[call_.matrices.size() + at],
                                  call_.numbers[at]);
  }
  [[nodiscard]] vector_view<const index_t> labels() const {
    return vector<std::int64_t>(call_.op, "labels", call_.labels);
  }
  [[nodiscard]] vector_view<number_type> loss() const {
    return vector<number_type>(call_.op, "loss", call_.loss);
  }
  [[nodiscard]] vector_view<const number_type> by_loss() const {
    return vector<number_type>(call_.op, "by_loss", call_.by_loss);
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
  const loss_call& call_;
};

/// Runs body(context, typed_call) for the type of the first matrix.
template <class Body>
void run_loss(const caller& from, const loss_call& call, const Body& body) {
  lend_context(from, [&](context& ctx) {
    with_element(call.op, call.names[0], call.matrices[0].value, [&](auto element) {
      body(ctx, typed_call<typename decltype(element)::type>(call));
    });
  });
}

/// The letter of an option's type, in loss_row.
template <class T>
constexpr char option_letter() {
  if (std::same_as<T, double>) return 'd';
  if (std::same_as<T, std::int64_t>) return 'i';
  return std::same_as<T, bool> ? 'b' : 's';
}

template <class T>
T value_of(const option& from) {
  if constexpr (std::same_as<T, double>) return from.number;
  if constexpr (std::same_as<T, std::int64_t>) return from.whole;
  if constexpr (std::same_as<T, bool>) return from.flag;
  if constexpr (std::same_as<T, std::string_view>) return from.choice;
}

/// Passes the options of a call to a loss as separate arguments.
template <auto loss, class Function = decltype(loss)>
struct with_options;
template <auto loss, class... Options>
struct with_options<loss, void (*)(const caller&, const loss_call&, Options...)> {
  static constexpr char types[] = {option_letter<Options>()..., '\0'};

  static void run(const caller& from, const loss_call& call) {
    unpack(from, call, std::index_sequence_for<Options...>());
  }

 private:
  template <std::size_t... I>
  static void unpack(const caller& from, const loss_call& call, std::index_sequence<I...> /*all*/) {
    loss(from, call, value_of<Options>(call.options[I])...);
  }
};

/// The row of a function loss(from, call, options…).
template <auto loss>
constexpr loss_row row_of(const char* signature, const char* documentation) {
  return {signature, documentation, with_options<loss>::run, with_options<loss>::types};
}

}  // namespace feaug_python
