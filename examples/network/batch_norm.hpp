// Batch normalisation over rows (Ioffe and Szegedy, arXiv 1502.03167), optionally followed by a
// ReLU.
#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include "matrix.hpp"
#include "parallel.hpp"
#include "parameter.hpp"

namespace network {

enum class mode { train, evaluate };
enum class activation { none, relu };

template <class S>
class batch_norm {
 public:
  batch_norm(index channels, activation act) : act_(act) {
    scale_.resize(1, channels);
    scale_.value.setOnes();
    shift_.resize(1, channels);
    running_mean_.setZero(1, channels);
    running_variance_.setOnes(1, channels);
  }

  matrix<S> forward(feaug::cpu_context& ctx, const matrix<S>& x, mode how) {
    if (how == mode::evaluate) return normalised(ctx, x, running_mean_, running_variance_, nullptr);
    const index channels = x.cols();
    // Sums and sums of squares in double need one pass, with negligible cancellation.
    const matrix<double> sums = sum_over_blocks<double>(
        ctx, x.rows(), 2, channels, [&](index first, index count, matrix<double>& sum) {
          for (index i = first; i < first + count; ++i) {
            for (index c = 0; c < channels; ++c) {
              const auto value = static_cast<double>(x(i, c));
              sum(0, c) += value;
              sum(1, c) += value * value;
            }
          }
        });
    const auto rows = static_cast<double>(x.rows());
    matrix<S> mean(1, channels);
    matrix<S> variance(1, channels);
    for (index c = 0; c < channels; ++c) {
      const double m = sums(0, c) / rows;
      mean(0, c) = static_cast<S>(m);
      variance(0, c) = static_cast<S>(std::max(0.0, sums(1, c) / rows - m * m));
    }
    const S unbiased = x.rows() > 1 ? static_cast<S>(rows / (rows - 1.0)) : S{1};
    running_mean_ += momentum * (mean - running_mean_);
    running_variance_ += momentum * (unbiased * variance - running_variance_);
    normalised_.resize(x.rows(), channels);
    output_ = normalised(ctx, x, mean, variance, &normalised_);
    inverse_deviation_ = (variance.array() + eps).rsqrt().matrix();
    return output_;
  }

  matrix<S> backward(feaug::cpu_context& ctx, const matrix<S>& gradient) {
    const index channels = gradient.cols();
    const auto through = [&](index i, index c) {
      return act_ == activation::none || output_(i, c) > S{0} ? gradient(i, c) : S{0};
    };
    const matrix<double> sums = sum_over_blocks<double>(
        ctx, gradient.rows(), 2, channels, [&](index first, index count, matrix<double>& sum) {
          for (index i = first; i < first + count; ++i) {
            for (index c = 0; c < channels; ++c) {
              const auto g = static_cast<double>(through(i, c));
              sum(0, c) += g;
              sum(1, c) += g * static_cast<double>(normalised_(i, c));
            }
          }
        });
    shift_.gradient += sums.row(0).template cast<S>();
    scale_.gradient += sums.row(1).template cast<S>();
    const matrix<S> mean = (sums / static_cast<double>(gradient.rows())).template cast<S>();
    matrix<S> input_gradient(gradient.rows(), channels);
    for_each_block(ctx, gradient.rows(), sum_blocks, [&](index first, index count, index) {
      for (index i = first; i < first + count; ++i) {
        for (index c = 0; c < channels; ++c) {
          input_gradient(i, c) = scale_.value(0, c) * inverse_deviation_(0, c) *
                                 (through(i, c) - mean(0, c) - normalised_(i, c) * mean(1, c));
        }
      }
    });
    return input_gradient;
  }

  void collect(state<S>& all, const std::string& name) {
    all.parameters.emplace_back(name + ".scale", &scale_);
    all.parameters.emplace_back(name + ".shift", &shift_);
    all.buffers.emplace_back(name + ".running_mean", &running_mean_);
    all.buffers.emplace_back(name + ".running_variance", &running_variance_);
  }

 private:
  static constexpr S eps = static_cast<S>(1e-5);
  static constexpr S momentum = static_cast<S>(0.1);

  matrix<S> normalised(feaug::cpu_context& ctx, const matrix<S>& x, const matrix<S>& mean,
                       const matrix<S>& variance, matrix<S>* keep) const {
    const matrix<S> inverse = (variance.array() + eps).rsqrt().matrix();
    matrix<S> y(x.rows(), x.cols());
    for_each_block(ctx, x.rows(), sum_blocks, [&](index first, index count, index) {
      for (index i = first; i < first + count; ++i) {
        for (index c = 0; c < x.cols(); ++c) {
          const S hat = (x(i, c) - mean(0, c)) * inverse(0, c);
          if (keep != nullptr) (*keep)(i, c) = hat;
          const S value = hat * scale_.value(0, c) + shift_.value(0, c);
          y(i, c) = act_ == activation::relu && value < S{0} ? S{0} : value;
        }
      }
    });
    return y;
  }

  activation act_;
  parameter<S> scale_;
  parameter<S> shift_;
  matrix<S> running_mean_;
  matrix<S> running_variance_;
  matrix<S> normalised_;
  matrix<S> output_;
  matrix<S> inverse_deviation_;
};

}  // namespace network
