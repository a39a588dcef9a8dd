// Runs entries of the table of augmentations: for many shapes, for edge cases, and for every
// combination of gradient modes.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "support/augmentation_case.hpp"
#include "support/operators/policy_inputs.hpp"

namespace testing {

using conformance::bits_of;

/// Shapes: empty, one row, less and more than a warp, several blocks, odd sizes; visit(rows, cols).
/// Entries with a search or a state skip the larger shapes.
template <class Visit>
void for_each_shape(const augmentation_case& row, const Visit& visit) {
  constexpr std::pair<feaug::index_t, feaug::index_t> shapes[] = {
      {0, 5}, {3, 0}, {1, 1}, {1, 7}, {9, 5}, {37, 5}, {6, 64}, {17, 131}};
  for (const auto& [rows, cols] : shapes) {
    if (row.least_cols == 0 || (cols >= row.least_cols && rows * cols < 100)) visit(rows, cols);
  }
}

inline std::vector<conformance::result> run(const augmentation_case& row,
                                            conformance::test_case& given) {
  auto arguments = conformance::arguments::adding_to(given);
  return row.run(arguments).all();
}

/// Strided features of this shape. The other inputs of the entry are created by the first run.
inline conformance::test_case features_of(const augmentation_case& row, feaug::index_t rows,
                                          feaug::index_t cols) {
  conformance::test_case made;
  made.name = conformance::shape_text({rows, cols});
  made.options = {{"seed", 11}, {"step", 5}, {"stream", 2}, {"row_offset", 3}, {"threads", 1}};
  made.inputs[row.x] = conformance::normal_numbers(row.x, rows, cols);
  made.padding = {{row.x, 3}, {"partner", 1}, {"log_variance", 2}, {"grad_out", 2}};
  return made;
}

inline std::size_t columns_of(const conformance::result& one) {
  return static_cast<std::size_t>(one.value.shape.at(1));
}

/// The inputs with a gradient. `given` must have been run before.
inline std::vector<std::string> sides_of(const augmentation_case& row,
                                         const conformance::test_case& given) {
  std::vector<std::string> sides = {row.x};
  for (const char* other : {"partner", "log_variance"}) {
    if (given.inputs.contains(other)) sides.emplace_back(other);
  }
  return sides;
}

/// visit(given) for every combination of gradient modes (overwrite, accumulate, none), except all
/// overwrite.
template <class Visit>
void for_each_modes(const augmentation_case& row, const conformance::test_case& given,
                    const Visit& visit) {
  const std::vector<std::string> sides = sides_of(row, given);
  constexpr int modes = 3;
  const int all = sides.size() == 1 ? modes : modes * modes;
  for (int code = 1; code < all; ++code) {
    conformance::test_case one = given;
    int rest = code;
    for (const std::string& side : sides) {
      if (rest % modes == 1) one.accumulate.insert(side);
      if (rest % modes == 2) one.stop_gradient.insert(side);
      rest /= modes;
    }
    one.options["in_place"] = false;
    one.name += " modes " + std::to_string(code);
    visit(one);
  }
}

/// `count` rows from `begin` on, as a micro-batch.
inline conformance::test_case micro_batch(const conformance::test_case& given, feaug::index_t begin,
                                          feaug::index_t count) {
  conformance::test_case part = given;
  part.options["row_offset"] = given.options.at("row_offset").get<feaug::index_t>() + begin;
  const std::int64_t rows = given.inputs.at("grad_out").shape[0];
  for (auto& [name, input] : part.inputs) {
    const bool is_of_rows = name != "support" && name != "queue.ids" && !name.starts_with("state.");
    if (!is_of_rows) continue;
    const auto each = static_cast<std::ptrdiff_t>(input.data.size()) / rows;
    const auto from = given.inputs.at(name).data.begin() + begin * each;
    input.data.assign(from, from + count * each);
    input.shape[0] = count;
  }
  return part;
}

/// Rows that are zero, tiny, huge, with a large offset, constant, NaN or infinite, and suitable
/// partners.
template <class T>
conformance::test_case features_at_the_edges(const augmentation_case& row) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
  constexpr double huge = std::is_same_v<T, double>        ? 1e200
                          : std::is_same_v<T, feaug::half> ? 100
                                                           : 1e15;
  conformance::test_case made = features_of(row, 12, 40);
  run(row, made);
  made.name = "edge cases";
  for (auto& [name, input] : made.inputs) {
    if (input.shape.size() != 2 || name == "grad_out" || name.starts_with("state.")) continue;
    const auto at = [&values = input.data](std::size_t i) {
      return values.begin() + static_cast<std::ptrdiff_t>(40 * i);
    };
    const auto fill = [&](std::size_t i, double value) { std::fill_n(at(i), 40, value); };
    const auto scale = [&](std::size_t i, double factor) {
      std::for_each(at(i), at(i + 1), [factor](double& v) { v *= factor; });
    };
    if (name == row.x) {
      fill(0, 0);
      fill(1, 1e-14);
      fill(2, 7);
      fill(3, -3);
      *at(5) = not_a_number;
      *at(7) = -infinity;
      scale(8, huge);
      scale(11, 1e-30);
      std::for_each(at(10), at(11), [](double& v) { v += 1e3; });
    } else {
      fill(2, 14);  // the same direction
      fill(3, 6);   // the opposite direction
      fill(4, 0);
      *at(6) = infinity;
      scale(9, 1e-9);
      *at(10) = not_a_number;
      scale(11, huge);
    }
  }
  return made;
}

}  // namespace testing
