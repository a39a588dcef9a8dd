// A 3×3 convolution with stride 2 and padding 1, as a matrix product with patches (im2col).
#pragma once

#include <algorithm>
#include <string>

#include "initialise.hpp"
#include "matrix.hpp"
#include "parallel.hpp"
#include "parameter.hpp"

namespace network {

/// Halves the side (rounded up). An image is `side·side` rows of channels. The output has `outputs`
/// channels and no bias, because a batch norm follows.
template <class S>
class convolution {
 public:
  convolution(index side, index channels, index outputs, const feaug::random_key& key)
      : side_(side), channels_(channels) {
    weight_.resize(outputs, taps * taps * channels);
    initialise(weight_.value, taps * taps * channels, key);
  }

  [[nodiscard]] index out_side() const { return (side_ + 1) / 2; }

  /// x: images · side² rows of channels.
  matrix<S> forward(feaug::cpu_context& ctx, const matrix<S>& x) {
    input_ = x;
    matrix<S> y(images() * out_pixels(), weight_.value.rows());
    for_each_block(ctx, images(), blocks(), [&](index first, index count, index) {
      y.middleRows(first * out_pixels(), count * out_pixels()).noalias() =
          patches(first, count) * weight_.value.transpose();
    });
    return y;
  }

  /// Patches are recomputed, not stored: they are 9/4 of the input's size.
  matrix<S> backward(feaug::cpu_context& ctx, const matrix<S>& gradient, bool by_input) {
    weight_.gradient += sum_over_blocks<S>(
        ctx, images(), weight_.value.rows(), weight_.value.cols(),
        [&](index first, index count, matrix<S>& sum) {
          // Processes a few images at a time, so that their patches stay in the cache.
          for (index at = first; at < first + count; at += images_at_once) {
            const index some = std::min(images_at_once, first + count - at);
            sum.noalias() +=
                gradient.middleRows(at * out_pixels(), some * out_pixels()).transpose() *
                patches(at, some);
          }
        });
    if (!by_input) return {};
    matrix<S> input_gradient = matrix<S>::Zero(input_.rows(), channels_);
    for_each_block(ctx, images(), blocks(), [&](index first, index count, index) {
      const matrix<S> patch_gradient =
          gradient.middleRows(first * out_pixels(), count * out_pixels()) * weight_.value;
      for_each_tap(first, count, [&](index patch, index column, index pixel) {
        input_gradient.row(pixel) += patch_gradient.row(patch).segment(column, channels_);
      });
    });
    return input_gradient;
  }

  void collect(state<S>& all, const std::string& name) {
    all.parameters.emplace_back(name + ".weight", &weight_);
  }

 private:
  static constexpr index taps = 3;
  static constexpr index images_at_once = 8;

  [[nodiscard]] index images() const { return input_.rows() / (side_ * side_); }
  [[nodiscard]] index out_pixels() const { return out_side() * out_side(); }
  [[nodiscard]] index blocks() const { return (images() + images_at_once - 1) / images_at_once; }

  /// Calls visit(patch, first column of the tap, pixel) for every tap inside its image.
  template <class Visit>
  void for_each_tap(index first, index count, const Visit& visit) const {
    index patch = 0;
    for (index image = first; image < first + count; ++image) {
      for (index y = 0; y < out_side(); ++y) {
        for (index x = 0; x < out_side(); ++x, ++patch) {
          for (index tap = 0; tap < taps * taps; ++tap) {
            const index in_y = 2 * y + tap / taps - 1;
            const index in_x = 2 * x + tap % taps - 1;
            if (in_y < 0 || in_y >= side_ || in_x < 0 || in_x >= side_) continue;
            visit(patch, tap * channels_, (image * side_ + in_y) * side_ + in_x);
          }
        }
      }
    }
  }

  [[nodiscard]] matrix<S> patches(index first, index count) const {
    matrix<S> all = matrix<S>::Zero(count * out_pixels(), taps * taps * channels_);
    for_each_tap(first, count, [&](index patch, index column, index pixel) {
      all.row(patch).segment(column, channels_) = input_.row(pixel);
    });
    return all;
  }

  index side_;
  index channels_;
  parameter<S> weight_;
  matrix<S> input_;
};

}  // namespace network
