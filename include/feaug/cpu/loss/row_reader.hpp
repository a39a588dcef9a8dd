// Type-erased rows: reads rows of any storage type as numbers of type C.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>
#include <limits>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/product_pieces.hpp"
#include "feaug/cpu/loss/concatenated_rows.hpp"
#include "feaug/cpu/loss/tile_packing.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// The rows of a concatenated_rows of any type that computes in C. The passes over logits access rows
/// through three functions of O(cols) work each, so that float, half and bfloat16 share one
/// compiled pass.
template <std::floating_point C>
class row_reader {
 public:
  row_reader() = default;
  template <element T>
  requires std::same_as<compute_t<T>, C>
  // NOLINTNEXTLINE(google-explicit-constructor)
  row_reader(const concatenated_rows<T>& stack)
      : first_(matrix_of(stack.first)),
        second_(matrix_of(stack.second)),
        inverse_(stack.inverse),
        instructions_(stack.instructions),
        functions_(&functions_of<T>) {}

  [[nodiscard]] index_t rows() const { return first_.rows + second_.rows; }
  /// Whether rows are unit rows.
  [[nodiscard]] bool is_normalized() const { return inverse_ != nullptr; }

  /// Significant bits of a stored element.
  [[nodiscard]] int significant_bits() const {
    return functions_ == nullptr ? std::numeric_limits<C>::digits : functions_->significant_bits;
  }

  /// Writes rows begin … begin + count − 1 in the layout of pack_rows.
  void pack(instruction_set instructions, index_t begin, index_t count, index_t cols, C* to,
            C* rests = nullptr) const {
    functions_->pack(*this, instructions, begin, count, cols, to, rests);
  }
  /// The dot product of row i and the other's row j, in double. Both must have the same storage
  /// type.
  [[nodiscard]] double dot(index_t i, const row_reader& other, index_t j, index_t cols) const {
    return functions_->dot(*this, i, other, j, cols);
  }
  /// target += weight · row i
  void add_row(index_t i, double weight, index_t cols, C* target) const {
    functions_->add_row(*this, i, weight, cols, target);
  }

 private:
  struct matrix {
    const void* data = nullptr;
    index_t rows = 0;
    index_t cols = 0;
    index_t row_stride = 0;
  };
  struct functions {
    int significant_bits;
    void (*pack)(const row_reader&, instruction_set, index_t, index_t, index_t, C*, C*);
    double (*dot)(const row_reader&, index_t, const row_reader&, index_t, index_t);
    void (*add_row)(const row_reader&, index_t, double, index_t, C*);
  };

  template <element T>
  static matrix matrix_of(const matrix_view<const T>& view) {
    return {view.data, view.rows(), view.cols(), view.row_stride()};
  }
  template <element T>
  static matrix_view<const T> view_of(const matrix& m) {
    return {static_cast<const T*>(m.data), m.rows, m.cols, m.row_stride};
  }
  template <element T>
  [[nodiscard]] concatenated_rows<T> stack() const {
    return {.first = view_of<T>(first_),
            .second = view_of<T>(second_),
            .inverse = inverse_,
            .instructions = instructions_};
  }

  template <element T>
  static constexpr functions functions_of = {
      .significant_bits = feaug::cpu::significant_bits<T>,
      .pack =
          [](const row_reader& from, instruction_set instructions, index_t begin, index_t count,
             index_t cols, C* to,
             C* rests) { pack_rows(instructions, from.stack<T>(), begin, count, cols, to, rests); },
      .dot = [](const row_reader& a, index_t i, const row_reader& b, index_t j,
                index_t cols) { return cpu::dot(a.stack<T>(), i, b.stack<T>(), j, cols); },
      .add_row = [](const row_reader& from, index_t i, double weight, index_t cols,
                    C* target) { from.stack<T>().add_row(i, weight, cols, target); }};

  matrix first_;
  matrix second_;
  const double* inverse_ = nullptr;
  instruction_set instructions_ = instruction_set::portable;
  const functions* functions_ = nullptr;  // null: no rows
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
