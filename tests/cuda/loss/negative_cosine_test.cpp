// negative_cosine with several targets on a GPU compared with the CPU.
#include "feaug/cuda/loss/negative_cosine.cuh"

#include <catch2/catch.hpp>
#include <vector>

#include "cuda/loss/two_operands.hpp"
#include "feaug/cpu/loss/negative_cosine.hpp"

namespace negative_cosine_test {

using device_test::check_close;
using device_test::device_array;
using device_test::two_operands;
using feaug::gradient_mode;
using testing::test_matrix;

TEST_CASE("negative_cosine with several targets agrees with the CPU", "[cuda][loss]") {
  two_operands<float> prediction(test_matrix<float>::normal(37, 45, 1, 1),
                                 gradient_mode::overwrite);
  two_operands<float> first(test_matrix<float>::normal(37, 45, 2), gradient_mode::none);
  two_operands<float> second(test_matrix<float>::normal(37, 45, 3, 2), gradient_mode::accumulate);
  const std::vector<feaug::operand<float>> targets = {first.host(), second.host(), first.host()};
  const std::vector<feaug::operand<float, 2, feaug::memory_space::device>> device_targets = {
      first.device(), second.device(), first.device()};
  std::vector<float> loss(37);
  const device_array<float> device_loss(loss);
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  feaug::negative_cosine_with_gradients(cpu, prediction.host(), targets,
                                        feaug::vector_view<float>(loss.data(), 37),
                                        {.reduction = feaug::reduce::none});
  feaug::negative_cosine_with_gradients(gpu, prediction.device(), device_targets,
                                        feaug::device_vector<float>(device_loss.data(), 37),
                                        {.reduction = feaug::reduce::none});
  check_close(device_loss.to_host(), loss, testing::tolerance<float>());
  prediction.check();
  second.check();
  const std::vector<float> cotangent = {2.0F};
  const device_array<float> device_cotangent(cotangent);
  feaug::negative_cosine_backward(cpu, prediction.host(), targets,
                                  feaug::vector_view<const float>(cotangent.data(), 1));
  feaug::negative_cosine_backward(gpu, prediction.device(), device_targets,
                                  feaug::device_vector<const float>(device_cotangent.data(), 1));
  prediction.check();
  second.check();
}

}  // namespace negative_cosine_test
