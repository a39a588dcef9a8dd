// Two linear layers with batch norm and ReLU between them, for projector and predictor.
#pragma once

#include <string>

#include "batch_norm.hpp"
#include "linear.hpp"
#include "matrix.hpp"

namespace network {

template <class S>
class mlp {
 public:
  mlp(index inputs, index hidden, index outputs, const feaug::random_key& key)
      : first_(inputs, hidden, key),
        norm_(hidden, activation::relu),
        second_(hidden, outputs, key.streams_later(1)) {}

  matrix<S> forward(feaug::cpu_context& ctx, const matrix<S>& x, mode how) {
    return second_.forward(ctx, norm_.forward(ctx, first_.forward(ctx, x), how));
  }

  matrix<S> backward(feaug::cpu_context& ctx, const matrix<S>& gradient) {
    return first_.backward(ctx, norm_.backward(ctx, second_.backward(ctx, gradient)));
  }

  void collect(state<S>& all, const std::string& name) {
    first_.collect(all, name + ".first");
    norm_.collect(all, name + ".norm");
    second_.collect(all, name + ".second");
  }

 private:
  linear<S> first_;
  batch_norm<S> norm_;
  linear<S> second_;
};

}  // namespace network
