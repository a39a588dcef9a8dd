// Building blocks of the reference formulas: plain loops over a scalar type, which is double or a
// dual number.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <type_traits>
#include <vector>

#include "feaug/core/tensor_view.hpp"

namespace testing {

using feaug::index_t;

template <class S>
struct rows_of {
  std::vector<std::vector<S>> row;

  rows_of(const std::vector<S>& flat, std::size_t begin, index_t rows, index_t cols) {
    for (index_t i = 0; i < rows; ++i) {
      const auto at = static_cast<std::ptrdiff_t>(begin) + i * cols;
      row.emplace_back(flat.begin() + at, flat.begin() + at + cols);
    }
  }
  [[nodiscard]] index_t size() const { return static_cast<index_t>(row.size()); }
  const std::vector<S>& operator[](index_t i) const { return row[static_cast<std::size_t>(i)]; }
};

template <class S>
S dot(const std::vector<S>& a, const std::vector<S>& b) {
  S sum = a[0] * b[0];
  for (std::size_t j = 1; j < a.size(); ++j) sum += a[j] * b[j];
  return sum;
}

/// The number without its derivatives.
template <class S>
double value_of(const S& s) {
  if constexpr (std::is_same_v<S, double>) {
    return s;
  } else {
    return s.value();
  }
}

/// x / ‖x‖, and 0 for a zero row. The row is divided by its largest element first, because squares
/// of huge or tiny elements overflow or underflow.
template <class S>
std::vector<S> unit(const std::vector<S>& x) {
  using std::sqrt;
  double largest = 0;
  for (const S& element : x) largest = std::max(largest, std::abs(value_of(element)));
  std::vector<S> u = x;
  for (S& element : u) element = element / (largest > 0 ? largest : 1.0);
  const S norm = sqrt(dot(u, u));
  const bool has_direction = value_of(norm) * largest > 1e-12;
  for (S& element : u) element = has_direction ? S(element / norm) : S(element * 0.0);
  return u;
}

/// All rows, normalised or unchanged.
template <class S>
rows_of<S> directions(rows_of<S> rows, bool normalize = true) {
  if (!normalize) return rows;
  for (std::vector<S>& row : rows.row) row = unit(row);
  return rows;
}

template <class S>
S cosine(const std::vector<S>& a, const std::vector<S>& b, bool normalize = true) {
  return normalize ? dot(unit(a), unit(b)) : dot(a, b);
}

/// log Σ exp, shifted by the maximum.
template <class S>
S log_sum_exp(const std::vector<S>& logits) {
  using std::exp;
  using std::log;
  double largest = -1e300;
  for (const S& s : logits) largest = std::max(largest, value_of(s));
  S sum = exp(logits[0] - largest);
  for (std::size_t j = 1; j < logits.size(); ++j) sum += exp(logits[j] - largest);
  return log(sum) + largest;
}

/// Σ weight_i · loss_i
template <class S>
S weighted(const std::vector<S>& losses, const std::vector<double>& weights) {
  S sum = losses[0] * weights[0];
  for (std::size_t i = 1; i < losses.size(); ++i) sum += losses[i] * weights[i];
  return sum;
}

}  // namespace testing
