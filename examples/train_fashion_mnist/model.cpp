#include "model.hpp"

#include <algorithm>

#include "matrix_view.hpp"
#include "streams.hpp"

namespace trainer {

using network::index;
using network::matrix;
using network::mode;

branch::branch(std::uint64_t seed)
    : encoder(key_for(seed, 0, stream::weights)),
      projector(network::encoder<float>::features, hidden_features, projected_features,
                key_for(seed, 0, stream::weights, 10)) {}

matrix<float> branch::forward(feaug::cpu_context& ctx, const matrix<float>& images) {
  return projector.forward(ctx, encoder.forward(ctx, images, mode::train), mode::train);
}

void branch::backward(feaug::cpu_context& ctx, const matrix<float>& gradient) {
  encoder.backward(ctx, projector.backward(ctx, gradient));
}

void branch::collect(network::state<float>& all, const std::string& name) {
  encoder.collect(all, name + ".encoder");
  projector.collect(all, name + ".projector");
}

namespace {

void store(const matrix<float>& values, feaug::matrix_view<float> to) {
  Eigen::Map<matrix<float>, 0, Eigen::OuterStride<>>(
      to.data, to.rows(), to.cols(), Eigen::OuterStride<>(to.row_stride())) = values;
}

}  // namespace

predictor::predictor(feaug::cpu_context& ctx, std::uint64_t seed)
    : ctx_(ctx),
      mlp_(projected_features, hidden_features, projected_features,
           key_for(seed, 0, stream::weights, 20)) {}

void predictor::forward(feaug::matrix_view<const float> input, feaug::matrix_view<float> output) {
  store(mlp_.forward(ctx_, matrix_of(input), mode::train), output);
}

void predictor::backward(feaug::matrix_view<const float> /*input*/,
                         feaug::matrix_view<const float> output_gradient,
                         feaug::matrix_view<float> input_gradient) {
  store(mlp_.backward(ctx_, matrix_of(output_gradient)), input_gradient);
}

void predictor::collect(network::state<float>& all, const std::string& name) {
  mlp_.collect(all, name);
}

matrix<float> features_of(feaug::cpu_context& ctx, network::encoder<float>& encoder,
                          const matrix<float>& images) {
  constexpr index at_once = 500;
  matrix<float> all(images.rows(), network::encoder<float>::features);
  for (index first = 0; first < images.rows(); first += at_once) {
    const index count = std::min(at_once, images.rows() - first);
    all.middleRows(first, count) =
        encoder.forward(ctx, images.middleRows(first, count), mode::evaluate);
  }
  return all;
}

}  // namespace trainer
