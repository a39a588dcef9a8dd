#include "nearest_rule.hpp"

#include <cmath>
#include <cstddef>
#include <set>

namespace conformance {
namespace {

/// The cosine of a query and a support row. The rows are scaled first, so that huge rows do not
/// overflow.
double cosine(const tensor& queries, std::size_t query, const tensor& support, std::size_t row) {
  const auto columns = static_cast<std::size_t>(queries.shape[1]);
  const double* q = queries.data.data() + query * columns;
  const double* s = support.data.data() + row * columns;
  double q_largest = 0;
  double s_largest = 0;
  for (std::size_t j = 0; j < columns; ++j) {
    q_largest = std::fmax(q_largest, std::abs(q[j]));
    s_largest = std::fmax(s_largest, std::abs(s[j]));
  }
  if (q_largest == 0 || s_largest == 0) return 0;
  double dot = 0;
  double q_square = 0;
  double s_square = 0;
  for (std::size_t j = 0; j < columns; ++j) {
    const double a = q[j] / q_largest;
    const double b = s[j] / s_largest;
    dot += a * b;
    q_square += a * a;
    s_square += b * b;
  }
  return dot / (std::sqrt(q_square) * std::sqrt(s_square));
}

}  // namespace

std::string wrong_indices(const test_case& one, const tensor& got, const tensor& want, dtype type) {
  const tensor& queries = one.inputs.at("queries");
  const tensor& support = one.inputs.at("support");
  const auto neighbours = static_cast<std::size_t>(want.shape.back());
  for (std::size_t i = 0; i < want.data.size(); ++i) {
    const std::size_t query = i / neighbours;
    const std::string text = "query " + std::to_string(query) + ": got index " +
                             std::to_string(static_cast<long long>(got.data[i])) + ", want " +
                             std::to_string(static_cast<long long>(want.data[i]));
    if (i % neighbours == 0) {
      const auto first = got.data.begin() + static_cast<std::ptrdiff_t>(i);
      const std::set<double> distinct(first, first + static_cast<std::ptrdiff_t>(neighbours));
      if (distinct.size() != neighbours)
        return "query " + std::to_string(query) + ": an index twice";
    }
    if (got.data[i] == want.data[i]) continue;
    if (type == dtype::float64) return text;
    const auto rows = static_cast<double>(support.shape[0]);
    const auto is_row = [&](double index) { return index >= 0 && index < rows; };
    if (!is_row(got.data[i]) || !is_row(want.data[i])) return text;
    const double gap = cosine(queries, query, support, static_cast<std::size_t>(got.data[i])) -
                       cosine(queries, query, support, static_cast<std::size_t>(want.data[i]));
    if (!(std::abs(gap) < 1e-6)) return text + ", similarities " + std::to_string(gap) + " apart";
  }
  return "";
}

}  // namespace conformance
