// AdamW (Loshchilov and Hutter, arXiv 1711.05101).
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "matrix.hpp"
#include "parameter.hpp"

namespace network {

struct adamw_options {
  double learning_rate = 1e-3;
  double weight_decay = 1e-4;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
};

template <class S>
class adamw {
 public:
  explicit adamw(const state<S>& of) {
    for (const auto& [name, p] : of.parameters) {
      parameters_.push_back(p);
      first_.push_back(matrix<S>::Zero(p->value.rows(), p->value.cols()));
      second_.push_back(first_.back());
    }
  }

  /// One update from the parameters' gradients.
  void step(const adamw_options& options) {
    ++steps_;
    const auto t = static_cast<double>(steps_);
    const auto rate =
        static_cast<S>(options.learning_rate * std::sqrt(1.0 - std::pow(options.beta2, t)) /
                       (1.0 - std::pow(options.beta1, t)));
    const auto decay = static_cast<S>(1.0 - options.learning_rate * options.weight_decay);
    const auto beta1 = static_cast<S>(options.beta1);
    const auto beta2 = static_cast<S>(options.beta2);
    const auto eps = static_cast<S>(options.eps);
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      parameter<S>& p = *parameters_[i];
      first_[i] = beta1 * first_[i] + (S{1} - beta1) * p.gradient;
      second_[i].array() =
          beta2 * second_[i].array() + (S{1} - beta2) * p.gradient.array().square();
      p.value.array() =
          decay * p.value.array() - rate * first_[i].array() / (second_[i].array().sqrt() + eps);
    }
  }

  /// The optimiser's state for a checkpoint: the moments, and the number of updates.
  std::vector<matrix<S>*> moments() {
    std::vector<matrix<S>*> all;
    for (matrix<S>& m : first_) all.push_back(&m);
    for (matrix<S>& m : second_) all.push_back(&m);
    return all;
  }
  std::int64_t& steps() { return steps_; }

 private:
  std::vector<parameter<S>*> parameters_;
  std::vector<matrix<S>> first_;
  std::vector<matrix<S>> second_;
  std::int64_t steps_ = 0;
};

}  // namespace network
