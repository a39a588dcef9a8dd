// Reference for sinkhorn and for one row of the losses that use its assignments: exponentials and
// divisions in plain loops.
#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "loss/formula.hpp"

namespace testing {

/// Assignments of the rows of `scores`; the rows of `extra` also take part. Not numerically stable:
/// the exponentials of the scores must not overflow.
inline std::vector<std::vector<double>> sinkhorn_rows(rows_of<double> scores,
                                                      const rows_of<double>& extra, double epsilon,
                                                      index_t iterations) {
  const auto rows = scores.row.size();
  scores.row.insert(scores.row.end(), extra.row.begin(), extra.row.end());
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
  q.resize(rows);
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

}  // namespace testing
