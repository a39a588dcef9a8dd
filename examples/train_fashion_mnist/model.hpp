// The networks of a run and all of their state.
#pragma once

#include <cstdint>
#include <string>

#include "feaug/core/context.hpp"
#include "feaug/core/tensor_view.hpp"
#include "network/encoder.hpp"
#include "network/mlp.hpp"
#include "network/momentum.hpp"
#include "network/parameter.hpp"
#include "streams.hpp"

namespace trainer {

inline constexpr network::index hidden_features = 256;
inline constexpr network::index projected_features = 64;
inline constexpr network::index prototype_count = 64;

/// Encoder and projector.
struct branch {
  network::encoder<float> encoder;
  network::mlp<float> projector;

  explicit branch(std::uint64_t seed)
      : encoder(key_for(seed, 0, stream::weights)),
        projector(network::encoder<float>::features, hidden_features, projected_features,
                  key_for(seed, 0, stream::weights, 10)) {}

  network::matrix<float> forward(feaug::cpu_context& ctx, const network::matrix<float>& images) {
    return projector.forward(ctx, encoder.forward(ctx, images, network::mode::train),
                             network::mode::train);
  }
  void backward(feaug::cpu_context& ctx, const network::matrix<float>& gradient) {
    encoder.backward(ctx, projector.backward(ctx, gradient));
  }
  void collect(network::state<float>& all, const std::string& name) {
    encoder.collect(all, name + ".encoder");
    projector.collect(all, name + ".projector");
  }
};

/// The predictor as feaug calls it.
class predictor {
 public:
  predictor(feaug::cpu_context& ctx, std::uint64_t seed)
      : ctx_(ctx),
        mlp_(projected_features, hidden_features, projected_features,
             key_for(seed, 0, stream::weights, 20)) {}

  void forward(feaug::matrix_view<const float> input, feaug::matrix_view<float> output) {
    const network::matrix<float> x = as_matrix(input);
    store(mlp_.forward(ctx_, x, network::mode::train), output);
  }
  void backward(feaug::matrix_view<const float> /*input*/,
                feaug::matrix_view<const float> output_gradient,
                feaug::matrix_view<float> input_gradient) {
    store(mlp_.backward(ctx_, as_matrix(output_gradient)), input_gradient);
  }
  void collect(network::state<float>& all, const std::string& name) { mlp_.collect(all, name); }

 private:
  static network::matrix<float> as_matrix(feaug::matrix_view<const float> view) {
    return Eigen::Map<const network::matrix<float>, 0, Eigen::OuterStride<>>(
        view.data, view.rows(), view.cols(), Eigen::OuterStride<>(view.row_stride()));
  }
  static void store(const network::matrix<float>& values, feaug::matrix_view<float> view) {
    Eigen::Map<network::matrix<float>, 0, Eigen::OuterStride<>>(
        view.data, view.rows(), view.cols(), Eigen::OuterStride<>(view.row_stride())) = values;
  }

  feaug::cpu_context& ctx_;
  network::mlp<float> mlp_;
};

}  // namespace trainer
