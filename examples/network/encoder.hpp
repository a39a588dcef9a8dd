// The encoder: three convolutions and global average pooling.
#pragma once

#include <string>

#include "batch_norm.hpp"
#include "convolution.hpp"
#include "matrix.hpp"

namespace network {

/// 28 × 28 grey images to features: 28² → 14² × 16 → 7² × 32 → 4² × 64 → 64.
template <class S>
class encoder {
 public:
  static constexpr index features = 64;

  explicit encoder(const feaug::random_key& key)
      : first_(28, 1, 16, key.streams_later(0)),
        second_(14, 16, 32, key.streams_later(1)),
        third_(7, 32, features, key.streams_later(2)),
        first_norm_(16, activation::relu),
        second_norm_(32, activation::relu),
        third_norm_(features, activation::relu) {}

  /// images: N × 784 → N × features.
  matrix<S> forward(feaug::cpu_context& ctx, const matrix<S>& images, mode how) {
    const matrix<S> pixels = images.template reshaped<Eigen::RowMajor>(images.size(), 1);
    matrix<S> x = first_norm_.forward(ctx, first_.forward(ctx, pixels), how);
    x = second_norm_.forward(ctx, second_.forward(ctx, x), how);
    x = third_norm_.forward(ctx, third_.forward(ctx, x), how);
    const index area = third_.out_side() * third_.out_side();
    matrix<S> mean(images.rows(), features);
    for_each_block(ctx, images.rows(), sum_blocks, [&](index first, index count, index) {
      for (index i = first; i < first + count; ++i)
        mean.row(i) = x.middleRows(i * area, area).colwise().mean();
    });
    return mean;
  }

  void backward(feaug::cpu_context& ctx, const matrix<S>& gradient) {
    const index area = third_.out_side() * third_.out_side();
    matrix<S> spread(gradient.rows() * area, features);
    for_each_block(ctx, gradient.rows(), sum_blocks, [&](index first, index count, index) {
      for (index i = first; i < first + count; ++i) {
        spread.middleRows(i * area, area).rowwise() = gradient.row(i) / static_cast<S>(area);
      }
    });
    matrix<S> g = third_.backward(ctx, third_norm_.backward(ctx, spread), true);
    g = second_.backward(ctx, second_norm_.backward(ctx, g), true);
    first_.backward(ctx, first_norm_.backward(ctx, g), false);
  }

  void collect(state<S>& all, const std::string& name) {
    first_.collect(all, name + ".first");
    second_.collect(all, name + ".second");
    third_.collect(all, name + ".third");
    first_norm_.collect(all, name + ".first_norm");
    second_norm_.collect(all, name + ".second_norm");
    third_norm_.collect(all, name + ".third_norm");
  }

 private:
  convolution<S> first_, second_, third_;
  batch_norm<S> first_norm_, second_norm_, third_norm_;
};

}  // namespace network
