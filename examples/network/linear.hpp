// y = x · Wᵀ + b
#pragma once

#include <string>

#include "initialise.hpp"
#include "matrix.hpp"
#include "parallel.hpp"
#include "parameter.hpp"

namespace network {

template <class S>
class linear {
 public:
  linear(index inputs, index outputs, const feaug::random_key& key) {
    weight_.resize(outputs, inputs);
    bias_.resize(1, outputs);
    initialise(weight_.value, inputs, key);
  }

  matrix<S> forward(feaug::cpu_context& ctx, const matrix<S>& x) {
    input_ = x;
    matrix<S> y(x.rows(), weight_.value.rows());
    for_each_block(ctx, x.rows(), sum_blocks, [&](index first, index count, index) {
      auto rows = y.middleRows(first, count);
      rows.noalias() = x.middleRows(first, count) * weight_.value.transpose();
      rows.rowwise() += bias_.value.row(0);
    });
    return y;
  }

  /// Returns the gradient with respect to the input of the last forward call; adds to the
  /// parameters' gradients.
  matrix<S> backward(feaug::cpu_context& ctx, const matrix<S>& gradient) {
    weight_.gradient +=
        sum_over_blocks<S>(ctx, input_.rows(), weight_.value.rows(), weight_.value.cols(),
                           [&](index first, index count, matrix<S>& sum) {
                             sum.noalias() += gradient.middleRows(first, count).transpose() *
                                              input_.middleRows(first, count);
                           });
    bias_.gradient += gradient.colwise().sum();
    matrix<S> input_gradient(input_.rows(), input_.cols());
    for_each_block(ctx, input_.rows(), sum_blocks, [&](index first, index count, index) {
      input_gradient.middleRows(first, count).noalias() =
          gradient.middleRows(first, count) * weight_.value;
    });
    return input_gradient;
  }

  void collect(state<S>& all, const std::string& name) {
    all.parameters.emplace_back(name + ".weight", &weight_);
    all.parameters.emplace_back(name + ".bias", &bias_);
  }

 private:
  parameter<S> weight_;
  parameter<S> bias_;
  matrix<S> input_;
};

}  // namespace network
