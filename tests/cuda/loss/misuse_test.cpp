// What losses on a GPU say about bad arguments, pointers apart (agreement_test.cpp); and a bad
// number that only the device sees.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "feaug/cuda/loss/barlow_twins.cuh"
#include "feaug/cuda/loss/hard_negative_info_nce.cuh"
#include "feaug/cuda/loss/hypersphere.cuh"
#include "feaug/cuda/loss/info_nce.cuh"
#include "feaug/cuda/loss/masked_prediction.cuh"
#include "feaug/cuda/loss/mean_shift.cuh"
#include "feaug/cuda/loss/nt_xent.cuh"
#include "feaug/cuda/loss/relation_distillation.cuh"
#include "feaug/cuda/loss/sigmoid.cuh"
#include "feaug/cuda/loss/sinkhorn.cuh"
#include "feaug/cuda/loss/soft_neighbour_contrast.cuh"
#include "feaug/cuda/loss/supervised_contrastive.cuh"
#include "feaug/cuda/loss/swapped_assignment.cuh"
#include "feaug/cuda/loss/vicreg.cuh"
#include "support/message_of.hpp"

namespace misuse_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::index_t;
using testing::test_matrix;

TEST_CASE("losses on a GPU name what is wrong", "[cuda][loss]") {
  feaug::cuda_context gpu;
  const device_copy<float> z(test_matrix<float>::normal(4, 3, 1));
  const device_copy<float> other(test_matrix<float>::normal(6, 3, 2));
  const auto x = feaug::stop_gradient(z.view());
  const device_array<float> number({0});
  const feaug::device_vector<float> to(number.data(), 1);
  const device_array<index_t> slots({0, 0, 1, 1, 0, 0, 1, 1});
  const feaug::device_vector<const index_t> labels(slots.data(), 4);
  const auto says = [](const std::string& message, const auto& call) {
    CHECK(testing::message_of(call) == message);
  };
  says("barlow_twins: a: got 1 row, wanted at least 2, since the loss is of statistics over rows",
       [&] { feaug::barlow_twins(gpu, z.view().rows_from(0, 1), z.view().rows_from(0, 1), to); });
  says("barlow_twins_backward: cotangent: got 0 elements, wanted 1 (the elements of the loss)",
       [&] { feaug::barlow_twins_backward(gpu, x, x, {}); });
  says("vicreg_with_gradients: eps: got 0, wanted a finite number above 0",
       [&] { feaug::vicreg_with_gradients(gpu, x, x, to, {.eps = 0}); });
  says("hypersphere: a: got 1 row, wanted at least 2, since the loss is of statistics over rows",
       [&] { feaug::hypersphere(gpu, z.view().rows_from(0, 1), z.view().rows_from(0, 1), to); });
  says("hypersphere_with_gradients: t: got -1, wanted a finite number above 0",
       [&] { feaug::hypersphere_with_gradients(gpu, x, x, to, {.t = -1}); });
  says("nt_xent: temperature: got 0, wanted a finite number above 0",
       [&] { feaug::nt_xent(gpu, z.view(), z.view(), to, {.temperature = 0}); });
  says("info_nce: loss: got 1 elements, wanted 4 (a loss a row)",
       [&] { feaug::info_nce(gpu, z.view(), z.view(), to, {.reduction = feaug::reduce::none}); });
  says(
      "info_nce_with_gradients: gradient of queries: got memory that overlaps queries, wanted "
      "memory of its own",
      [&] {
        feaug::info_nce_with_gradients(gpu, feaug::differentiable(z.view(), z.view()), x, to);
      });
  says("sigmoid: scale: got inf, wanted a finite number", [&] {
    feaug::sigmoid(gpu, z.view(), z.view(), to, {.scale = std::numeric_limits<double>::infinity()});
  });
  says(
      "sigmoid_with_gradients: gradient of a: got memory that overlaps b, wanted memory of its own",
      [&] {
        feaug::sigmoid_with_gradients(
            gpu, feaug::differentiable(other.view().rows_from(0, 4), z.view()), x, to);
      });
  says("masked_prediction: beta: got -1, wanted a finite number of at least 0", [&] {
    feaug::masked_prediction(gpu, z.view(), z.view(), feaug::mask{}, {}, to, {.beta = -1});
  });
  says("mean_shift: k: got 5, wanted a number from 1 to 4",
       [&] { feaug::mean_shift(gpu, z.view(), z.view(), z.view(), to); });
  says(
      "mean_shift_backward: indices: got shape (4, 2), wanted shape (4, 3) as prediction and k ask "
      "for",
      [&] {
        feaug::mean_shift_backward(gpu, x, z.view(),
                                   feaug::device_matrix<const index_t>(slots.data(), 4, 2), to,
                                   {.k = 3});
      });
  says("relation_distillation: teacher_temperature: got 0, wanted a finite number above 0", [&] {
    feaug::relation_distillation(gpu, z.view(), z.view(), z.view(), to, {.teacher_temperature = 0});
  });
  says(
      "soft_neighbour_contrast: neighbours: got 3 rows, wanted as many for each of the 4 queries, "
      "one at least",
      [&] {
        feaug::soft_neighbour_contrast(gpu, z.view(), z.view(), z.view().rows_from(0, 3), to);
      });
  says("supervised_contrastive: labels: got 3 elements, wanted 4 (a label a row of z)", [&] {
    feaug::supervised_contrastive(gpu, z.view(),
                                  feaug::device_vector<const index_t>(slots.data(), 3), to);
  });
  says("supervised_contrastive: temperature: got 0, wanted a finite number above 0",
       [&] { feaug::supervised_contrastive(gpu, z.view(), labels, to, {.temperature = 0}); });
  says("sinkhorn: iterations: got -1, wanted at least 0",
       [&] { feaug::sinkhorn(gpu, z.view(), other.view().rows_from(0, 4), {.iterations = -1}); });
  says("swapped_assignment: temperature: got 0, wanted a finite number above 0",
       [&] { feaug::swapped_assignment(gpu, z.view(), z.view(), to, {.temperature = 0}); });
  feaug::device_synthetic_negatives<float> how = {.hardest = 4, .counts = {.mixed = 15}};
  const auto synthesise = [&] {
    feaug::hard_negative_info_nce(gpu, z.const_view(), z.const_view(), how, to,
                                  {.negatives = feaug::stop_gradient(other.const_view())});
  };
  says("", synthesise);
  how.hardest = 7;
  says("hard_negative_info_nce: hardest: got 7, wanted a number from 1 to 6", synthesise);
  how.hardest = 4;
  how.drawn.first = feaug::device_matrix<index_t>(slots.data(), 4, 1);
  says(
      "hard_negative_info_nce: drawn.first: got shape (4, 1), wanted shape (4, 15) as the queries "
      "and counts ask for",
      synthesise);
}

TEST_CASE("a temperature that is not above 0 is only seen on the device", "[cuda][loss]") {
  const device_copy<float> keys(test_matrix<float>::normal(5, 6, 2));
  const device_array<float> loss({0, 0, 0, 0, 0});
  const device_array<float> temperature({-1});
  feaug::cuda_context gpu;
  feaug::info_nce(gpu, keys.view(), keys.view(), feaug::device_vector<float>(loss.data(), 5),
                  {.reduction = feaug::reduce::none,
                   .learnable_temperature = feaug::stop_gradient(
                       feaug::device_vector<const float>(temperature.data(), 1))});
  for (const float value : loss.to_host()) CHECK(std::isnan(value));
}

}  // namespace misuse_test
