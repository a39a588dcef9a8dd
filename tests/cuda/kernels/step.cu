// Kernels of a training step, for all element types.
#include <type_traits>
#include <vector>

#include "kernels.cuh"

void kernels::compile_step(feaug::cuda_context& ctx) {
  for_each_type(ctx, [](auto& c, const auto& v) {
    feaug::no_predictor none;
    feaug::step(c, {}, v.differentiable(), v.differentiable(), none, feaug::mask{},
                feaug::random_key{}, v.loss);
    using feature = std::remove_const_t<std::remove_pointer_t<decltype(v.input.data)>>;
    const std::vector<feaug::device_momentum_pair<feature>> pairs;
    feaug::momentum_update(c, pairs, 0.5);
    const std::vector<feaug::device_momentum_pair<float, feature>> wider;
    feaug::momentum_update(c, wider, 0.5);
  });
}
