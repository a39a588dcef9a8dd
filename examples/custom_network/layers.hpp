// A small network without any library: layers as plain loops over their own memory.
#pragma once

#include <cmath>
#include <cstddef>
#include <random>
#include <vector>

#include "device.hpp"

/// Rows of features, row-major and contiguous.
struct batch {
  std::size_t rows;
  std::size_t cols;
  array<float> values = array<float>(rows * cols);

  float* row(std::size_t i) { return values.data() + i * cols; }
  [[nodiscard]] const float* row(std::size_t i) const { return values.data() + i * cols; }
};

/// y = W x + b, trained by gradient descent with momentum.
class linear {
 public:
  linear(std::size_t inputs, std::size_t outputs, std::mt19937& random)
      : inputs_(inputs),
        outputs_(outputs),
        weights_(outputs * (inputs + 1)),
        gradient_(weights_.size()),
        velocity_(weights_.size()) {
    std::normal_distribution<float> draw(0.0F, std::sqrt(2.0F / static_cast<float>(inputs)));
    for (float& weight : weights_) weight = draw(random);
  }

  batch forward(const batch& x) {
    input_ = x;
    batch y{.rows = x.rows, .cols = outputs_};
    for (std::size_t i = 0; i < x.rows; ++i) {
      for (std::size_t o = 0; o < outputs_; ++o) {
        const float* const w = weights_of(o);
        float sum = w[inputs_];
        for (std::size_t k = 0; k < inputs_; ++k) sum += w[k] * x.row(i)[k];
        y.row(i)[o] = sum;
      }
    }
    return y;
  }

  batch backward(const batch& dy) {
    batch dx{.rows = dy.rows, .cols = inputs_};
    for (std::size_t i = 0; i < dy.rows; ++i) {
      for (std::size_t o = 0; o < outputs_; ++o) {
        const float slope = dy.row(i)[o];
        float* const dw = gradient_.data() + o * (inputs_ + 1);
        for (std::size_t k = 0; k < inputs_; ++k) {
          dw[k] += slope * input_.row(i)[k];
          dx.row(i)[k] += slope * weights_of(o)[k];
        }
        dw[inputs_] += slope;
      }
    }
    return dx;
  }

  void update(float rate) {
    for (std::size_t k = 0; k < weights_.size(); ++k) {
      velocity_[k] = 0.9F * velocity_[k] + gradient_[k];
      weights_[k] -= rate * velocity_[k];
      gradient_[k] = 0;
    }
  }

 private:
  [[nodiscard]] const float* weights_of(std::size_t output) const {
    return weights_.data() + output * (inputs_ + 1);
  }

  std::size_t inputs_;
  std::size_t outputs_;
  std::vector<float> weights_;  // one row per output, its bias last
  std::vector<float> gradient_;
  std::vector<float> velocity_;
  batch input_{.rows = 0, .cols = 0};
};

/// Two linear layers with a rectifier between them.
class encoder {
 public:
  encoder(std::size_t inputs, std::size_t hidden, std::size_t outputs, std::mt19937& random)
      : first_(inputs, hidden, random), second_(hidden, outputs, random) {}

  batch forward(const batch& x) {
    hidden_ = first_.forward(x);
    for (float& value : hidden_.values) value = value > 0 ? value : 0;
    return second_.forward(hidden_);
  }
  void backward(const batch& dy) {
    batch slope = second_.backward(dy);
    for (std::size_t k = 0; k < slope.values.size(); ++k) {
      if (hidden_.values[k] <= 0) slope.values[k] = 0;
    }
    first_.backward(slope);
  }
  void update(float rate) {
    first_.update(rate);
    second_.update(rate);
  }

 private:
  linear first_;
  linear second_;
  batch hidden_{.rows = 0, .cols = 0};
};
