// Sinkhorn and the losses over its assignments as their formulas stand: exponentials and divisions
// in plain loops.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "loss/reference.hpp"

namespace testing {

/// All rows take part, the first `rows` are returned. Scores of a few units only: nothing guards
/// the exponentials.
inline std::vector<std::vector<double>> sinkhorn_rows(const rows_of<double>& scores, index_t rows,
                                                      double epsilon, index_t iterations) {
  const auto n = static_cast<std::size_t>(scores.size());
  const std::size_t prototypes = scores[0].size();
  std::vector<std::vector<double>> q(n, std::vector<double>(prototypes));
  double total = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < prototypes; ++j)
      total += q[i][j] = std::exp(scores.row[i][j] / epsilon);
  }
  for (auto& row : q) {
    for (double& x : row) x /= total;
  }
  for (index_t k = 0; k < iterations; ++k) {
    for (std::size_t j = 0; j < prototypes; ++j) {
      double sum = 0;
      for (const auto& row : q) sum += row[j];
      for (auto& row : q) row[j] /= sum * static_cast<double>(prototypes);
    }
    for (auto& row : q) {
      double sum = 0;
      for (const double x : row) sum += x;
      for (double& x : row) x /= sum * static_cast<double>(n);
    }
  }
  for (auto& row : q) {
    for (double& x : row) x *= static_cast<double>(n);
  }
  q.resize(static_cast<std::size_t>(rows));
  return q;
}

/// −Σ_j q_j log softmax_j(scores / temperature)
template <class S>
S assignment_row(const std::vector<S>& scores, const std::vector<double>& q, double temperature) {
  std::vector<S> logits;
  logits.reserve(scores.size());
  for (const S& s : scores) logits.push_back(S(s / temperature));
  const S all = log_sum_exp(logits);
  S loss = S((all - logits[0]) * q[0]);
  for (std::size_t j = 1; j < q.size(); ++j) loss += S((all - logits[j]) * q[j]);
  return loss;
}

template <class S>
std::vector<S> swapped_assignment_rows(const rows_of<S>& a, const rows_of<S>& b,
                                       const std::vector<std::vector<double>>& q_a,
                                       const std::vector<std::vector<double>>& q_b,
                                       double temperature) {
  std::vector<S> losses;
  for (index_t i = 0; i < a.size(); ++i) {
    const auto at = static_cast<std::size_t>(i);
    losses.push_back(S(
        (assignment_row(a[i], q_b[at], temperature) + assignment_row(b[i], q_a[at], temperature)) *
        0.5));
  }
  return losses;
}

}  // namespace testing
