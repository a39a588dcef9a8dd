// The losses as their formulas stand, in plain loops over a scalar type that is double or a dual
// number.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
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

template <class S>
S cosine(const std::vector<S>& a, const std::vector<S>& b, bool normalize = true) {
  using std::sqrt;
  if (!normalize) return dot(a, b);
  return dot(a, b) / (sqrt(dot(a, a)) * sqrt(dot(b, b)));
}

/// log Σ exp, shifted by the largest value.
template <class S>
S log_sum_exp(const std::vector<S>& logits) {
  using std::exp;
  using std::log;
  double largest = -1e300;
  const auto value = [](const S& s) {
    if constexpr (std::is_same_v<S, double>) {
      return s;
    } else {
      return s.value();
    }
  };
  for (const S& s : logits) largest = std::max(largest, value(s));
  S sum = exp(logits[0] - largest);
  for (std::size_t j = 1; j < logits.size(); ++j) sum += exp(logits[j] - largest);
  return log(sum) + largest;
}

struct info_nce_setting {
  index_t positive_offset = 0;
  bool in_batch_negatives = true;
  bool normalize = true;
};

template <class S>
std::vector<S> info_nce_rows(const rows_of<S>& queries, const rows_of<S>& keys,
                             const rows_of<S>& negatives, const S& temperature,
                             const info_nce_setting& setting = {}) {
  std::vector<S> losses;
  for (index_t i = 0; i < queries.size(); ++i) {
    const index_t p = i + setting.positive_offset;
    std::vector<S> logits;
    for (index_t j = 0; j < keys.size(); ++j) {
      if (setting.in_batch_negatives || j == p) {
        logits.push_back(cosine(queries[i], keys[j], setting.normalize) / temperature);
      }
    }
    for (index_t j = 0; j < negatives.size(); ++j) {
      logits.push_back(cosine(queries[i], negatives[j], setting.normalize) / temperature);
    }
    losses.push_back(log_sum_exp(logits) -
                     cosine(queries[i], keys[p], setting.normalize) / temperature);
  }
  return losses;
}

template <class S>
std::vector<S> symmetric_info_nce_rows(const rows_of<S>& queries, const rows_of<S>& keys,
                                       const S& temperature) {
  const rows_of<S> none({}, 0, 0, 0);
  const std::vector<S> there = info_nce_rows(queries, keys, none, temperature);
  const std::vector<S> back = info_nce_rows(keys, queries, none, temperature);
  std::vector<S> losses;
  for (std::size_t i = 0; i < there.size(); ++i) losses.push_back((there[i] + back[i]) * 0.5);
  return losses;
}

template <class S>
std::vector<S> nt_xent_rows(const rows_of<S>& a, const rows_of<S>& b, const S& temperature,
                            bool decoupled, const std::vector<double>& positive_weights = {}) {
  const index_t n = a.size();
  const auto z = [&](index_t i) -> const std::vector<S>& { return i < n ? a[i] : b[i - n]; };
  std::vector<S> losses;
  for (index_t i = 0; i < 2 * n; ++i) {
    const index_t p = (i + n) % (2 * n);
    std::vector<S> logits;
    for (index_t j = 0; j < 2 * n; ++j) {
      if (j != i && !(decoupled && j == p)) logits.push_back(cosine(z(i), z(j)) / temperature);
    }
    const double weight =
        positive_weights.empty() ? 1.0 : positive_weights[static_cast<std::size_t>(i % n)];
    losses.push_back(log_sum_exp(logits) - cosine(z(i), z(p)) / temperature * weight);
  }
  return losses;
}

/// DCLW's weight of every pair, 2 − N·softmax_i(cos(a_i, b_i) / sigma).
inline std::vector<double> pair_weights(const rows_of<double>& a, const rows_of<double>& b,
                                        double sigma) {
  std::vector<double> weights;
  double sum = 0;
  for (index_t i = 0; i < a.size(); ++i) {
    weights.push_back(std::exp(cosine(a[i], b[i]) / sigma));
    sum += weights.back();
  }
  for (double& w : weights) w = 2.0 - static_cast<double>(a.size()) * w / sum;
  return weights;
}

template <class S>
std::vector<S> negative_cosine_rows(const rows_of<S>& prediction, const rows_of<S>& target,
                                    bool byol) {
  std::vector<S> losses;
  for (index_t i = 0; i < prediction.size(); ++i) {
    const S c = cosine(prediction[i], target[i]);
    losses.push_back(byol ? S(c * -2.0 + 2.0) : S(c * -1.0));
  }
  return losses;
}

/// log(1 + eˣ)
template <class S>
S softplus(const S& x) {
  using std::exp;
  using std::log;
  const bool is_positive = x > S(0.0);
  const S e = exp(is_positive ? S(x * -1.0) : x);
  const S rest = log(S(e + 1.0));
  return is_positive ? S(x + rest) : rest;
}

template <class S>
std::vector<S> sigmoid_rows(const rows_of<S>& a, const rows_of<S>& b, const S& scale,
                            const S& bias) {
  std::vector<S> losses;
  for (index_t i = 0; i < a.size(); ++i) {
    S sum = bias * 0.0;
    for (index_t j = 0; j < b.size(); ++j) {
      const S logit = cosine(a[i], b[j]) * scale + bias;
      sum += softplus(i == j ? S(logit * -1.0) : logit);
    }
    losses.push_back(sum);
  }
  return losses;
}

/// Row losses; 0 for rows without a positive.
template <class S>
std::vector<S> supervised_contrastive_rows(const rows_of<S>& z, const std::vector<index_t>& labels,
                                           const S& temperature) {
  std::vector<S> losses;
  for (index_t i = 0; i < z.size(); ++i) {
    const auto label = [&](index_t j) { return labels[static_cast<std::size_t>(j)]; };
    std::vector<S> logits;
    S positive_sum = temperature * 0.0;
    double positives = 0;
    for (index_t j = 0; j < z.size(); ++j) {
      if (j == i) continue;
      logits.push_back(cosine(z[i], z[j]) / temperature);
      if (label(j) != label(i)) continue;
      positive_sum += logits.back();
      ++positives;
    }
    losses.push_back(positives == 0 ? S(temperature * 0.0)
                                    : S(log_sum_exp(logits) - positive_sum / positives));
  }
  return losses;
}

/// What each row's loss weighs in the mean: those without a positive do not count.
inline std::vector<double> labelled_mean_weights(const std::vector<index_t>& labels) {
  std::vector<double> weights;
  double counted = 0;
  for (const index_t label : labels) {
    const bool counts = std::count(labels.begin(), labels.end(), label) > 1;
    weights.push_back(counts ? 1.0 : 0.0);
    counted += weights.back();
  }
  for (double& weight : weights) weight /= std::max(counted, 1.0);
  return weights;
}

/// Σ weight_i · loss_i
template <class S>
S weighted(const std::vector<S>& losses, const std::vector<double>& weights) {
  S sum = losses[0] * weights[0];
  for (std::size_t i = 1; i < losses.size(); ++i) sum += losses[i] * weights[i];
  return sum;
}

inline std::vector<double> equal_weights(index_t rows, bool mean) {
  return std::vector<double>(static_cast<std::size_t>(rows),
                             mean ? 1.0 / static_cast<double>(rows) : 1.0);
}

}  // namespace testing
