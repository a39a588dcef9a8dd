// The networks of a run and their state. Only model.cpp compiles their computations, because
// convolutions and matrix products are slow to compile.
#pragma once

#include <cstdint>
#include <string>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "network/encoder.hpp"
#include "network/matrix.hpp"
#include "network/mlp.hpp"
#include "network/parameter.hpp"

namespace trainer {

inline constexpr network::index hidden_features = 256;
inline constexpr network::index projected_features = 64;
inline constexpr network::index prototype_count = 64;

/// Encoder and projector.
struct branch {
  network::encoder<float> encoder;
  network::mlp<float> projector;

  explicit branch(std::uint64_t seed);

  network::matrix<float> forward(feaug::cpu_context& ctx, const network::matrix<float>& images);
  void backward(feaug::cpu_context& ctx, const network::matrix<float>& gradient);
  void collect(network::state<float>& all, const std::string& name);
};

/// The predictor, with the interface that feaug calls.
class predictor {
 public:
  predictor(feaug::cpu_context& ctx, std::uint64_t seed);

  void forward(feaug::matrix_view<const float> input, feaug::matrix_view<float> output);
  void backward(feaug::matrix_view<const float> input,
                feaug::matrix_view<const float> output_gradient,
                feaug::matrix_view<float> input_gradient);
  void collect(network::state<float>& all, const std::string& name);

 private:
  feaug::cpu_context& ctx_;
  network::mlp<float> mlp_;
};

/// The encoder's features of all images; batch norm uses its running statistics.
network::matrix<float> features_of(feaug::cpu_context& ctx, network::encoder<float>& encoder,
                                   const network::matrix<float>& images);

}  // namespace trainer
