// Error messages of every loss, for each of its functions.
#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "feaug/cpu/loss/assignment_loss.hpp"
#include "feaug/cpu/loss/barlow_twins.hpp"
#include "feaug/cpu/loss/hard_negative_info_nce.hpp"
#include "feaug/cpu/loss/hypersphere.hpp"
#include "feaug/cpu/loss/info_nce.hpp"
#include "feaug/cpu/loss/kl_to_standard_normal.hpp"
#include "feaug/cpu/loss/masked_prediction.hpp"
#include "feaug/cpu/loss/mean_shift.hpp"
#include "feaug/cpu/loss/negative_cosine.hpp"
#include "feaug/cpu/loss/nt_xent.hpp"
#include "feaug/cpu/loss/relation_distillation.hpp"
#include "feaug/cpu/loss/sigmoid.hpp"
#include "feaug/cpu/loss/sinkhorn.hpp"
#include "feaug/cpu/loss/soft_neighbour_contrast.hpp"
#include "feaug/cpu/loss/supervised_contrastive.hpp"
#include "feaug/cpu/loss/swapped_assignment.hpp"
#include "feaug/cpu/loss/symmetric_info_nce.hpp"
#include "feaug/cpu/loss/vicreg.hpp"

// Last, because these templates call functions that the headers above declare.
#include "support/loss_misuse.hpp"
#include "support/message_of.hpp"
#include "support/operators/cpu_losses.hpp"
#include "support/operators/losses.hpp"
#include "support/test_matrix.hpp"

namespace misuse_test {

using feaug::index_t;
using feaug::matrix_view;
using testing::message_of;
using testing::test_matrix;

TEST_CASE("every loss reports invalid arguments before it writes", "[loss][misuse]") {
  testing::check_misuses(conformance::cpu_loss_refusals(), testing::seen_on::host);
}

FEAUG_TEST_LOSS_VERBS(info_nce);
FEAUG_TEST_LOSS_VERBS(hard_negative_info_nce);
FEAUG_TEST_LOSS_VERBS(supervised_contrastive);
FEAUG_TEST_LOSS_VERBS(swapped_assignment);
FEAUG_TEST_LOSS_VERBS(masked_prediction);
FEAUG_TEST_LOSS_VERBS(mean_shift);
FEAUG_TEST_LOSS_VERBS(relation_distillation);
FEAUG_TEST_LOSS_VERBS(soft_neighbour_contrast);

namespace {

const auto& value_of(const auto& input) { return input; }
const auto& value_of(const feaug::operand<float>& input) { return input.value; }

/// Checks the functions that return their loss, for these inputs.
template <class Verbs, class Options>
void check_returned(const std::string& name, const auto&... inputs) {
  feaug::cpu_context ctx{.threads = 1};
  Options options;
  options.reduction = feaug::reduce::none;
  const std::string wanted =
      ": reduction: got none, wanted mean or sum, or a view for a loss a row";
  CHECK(message_of([&] { Verbs::forward(ctx, value_of(inputs)..., options); }) == name + wanted);
  CHECK(message_of([&] { Verbs::at_once(ctx, inputs..., options); }) ==
        name + "_with_gradients" + wanted);
}

}  // namespace

TEST_CASE("functions that return the loss reject reduction none", "[loss][misuse]") {
  const auto z = test_matrix<float>::normal(4, 3, 1);
  const matrix_view<const float> rows = z.view();
  const feaug::operand<float> x = feaug::stop_gradient(rows);
  const std::vector<index_t> numbers(4);
  const feaug::vector_view<const index_t> labels(numbers.data(), 4);
  using conformance::kl_to_standard_normal_verbs;
  using conformance::negative_cosine_verbs;
  using conformance::nt_xent_verbs;
  using conformance::sigmoid_verbs;
  using conformance::symmetric_info_nce_verbs;
  check_returned<info_nce_verbs, feaug::info_nce_options<float>>("info_nce", x, x);
  check_returned<hard_negative_info_nce_verbs, feaug::info_nce_options<float>>(
      "hard_negative_info_nce", x, x, feaug::synthetic_negatives<float>{});
  check_returned<symmetric_info_nce_verbs, feaug::symmetric_info_nce_options<float>>(
      "symmetric_info_nce", x, x);
  check_returned<nt_xent_verbs, feaug::nt_xent_options<float>>("nt_xent", x, x);
  check_returned<negative_cosine_verbs, feaug::negative_cosine_options<float>>("negative_cosine", x,
                                                                               x);
  check_returned<kl_to_standard_normal_verbs, feaug::kl_to_standard_normal_options<float>>(
      "kl_to_standard_normal", x, x);
  check_returned<sigmoid_verbs, feaug::sigmoid_options<float>>("sigmoid", x, x);
  check_returned<masked_prediction_verbs, feaug::masked_prediction_options<float>>(
      "masked_prediction", x, x, feaug::mask{}, feaug::random_key{});
  check_returned<supervised_contrastive_verbs, feaug::supervised_contrastive_options<float>>(
      "supervised_contrastive", x, labels);
  check_returned<swapped_assignment_verbs, feaug::swapped_assignment_options<float>>(
      "swapped_assignment", x, x);
  check_returned<mean_shift_verbs, feaug::mean_shift_options<float>>("mean_shift", x, rows, rows);
  check_returned<relation_distillation_verbs, feaug::relation_distillation_options<float>>(
      "relation_distillation", x, rows, rows);
  check_returned<soft_neighbour_contrast_verbs, feaug::soft_neighbour_contrast_options<float>>(
      "soft_neighbour_contrast", x, rows, rows);
}

TEST_CASE("hard_negative_info_nce rejects invalid keys", "[loss][misuse]") {
  feaug::cpu_context ctx{.threads = 1};
  const auto z = test_matrix<float>::normal(4, 3, 1);
  const feaug::operand<float> x = feaug::stop_gradient(z.view());
  const feaug::info_nce_options<float> options = {.negatives = x};
  std::vector<float> numbers(4, 5.0F);
  float loss = 5;
  feaug::synthetic_negatives<float> how = {.hardest = 4, .counts = {.mixed = 1, .noisy = 2}};
  const auto check_all = [&](const std::string& wanted) {
    const std::string name = "hard_negative_info_nce";
    const feaug::vector_view<float> statistics(numbers.data(), 4);
    const feaug::vector_view<float> to = feaug::scalar(loss);
    CHECK(message_of([&] {
            feaug::hard_negative_info_nce(ctx, z.view(), z.view(), how, to, options, statistics);
          }) == name + ": " + wanted);
    CHECK(message_of([&] {
            feaug::hard_negative_info_nce_backward(ctx, x, x, how, statistics, to, options);
          }) == name + "_backward: " + wanted);
    CHECK(message_of([&] {
            feaug::hard_negative_info_nce_with_gradients(ctx, x, x, how, to, options);
          }) == name + "_with_gradients: " + wanted);
    CHECK((loss == 5 && numbers == std::vector<float>(4, 5.0F)));
  };
  how.key.step = std::uint64_t{1} << 32;
  check_all("random_key.step: got 4294967296, wanted a number below 2^32");
  how.key = {.stream = 65535};
  check_all("random_key.stream: got 65535 with 2 streams needed, wanted streams below 2^16");
  how.key = {.row_offset = index_t{1} << 47};
  check_all(
      "random_key.row_offset: got 140737488355328, wanted rows numbered below 2^48 / 2, since "
      "each has that many rows of noise");
}

TEST_CASE("draw rejects destinations of the wrong shape", "[loss][misuse]") {
  feaug::cpu_context ctx{.threads = 1};
  feaug::synthetic_negatives<float> how = {.hardest = 5,
                                           .counts = {.interpolated = 5, .mixed = 4, .noisy = 2}};
  std::vector<index_t> first(4 * 11);
  std::vector<index_t> second(4 * 4);
  std::vector<float> weights(4 * 9);
  std::vector<float> noise(8 * 3);
  const auto draw = [&](const matrix_view<index_t>& to_second, const matrix_view<float>& to_noise) {
    return message_of([&] {
      feaug::draw(ctx, how, matrix_view<index_t>(first.data(), 4, 11), to_second,
                  {weights.data(), 4, 9}, to_noise);
    });
  };
  const matrix_view<float> fitting(noise.data(), 8, 3);
  CHECK(draw({second.data(), 4, 4}, {}) ==
        "draw: noise: got shape (0, 0), wanted 8 rows of features");
  CHECK(draw({second.data(), 4, 3}, fitting) ==
        "draw: second: got shape (4, 3), wanted shape (4, 4) as the rows of first and counts ask "
        "for");
  CHECK(draw({first.data(), 4, 4}, fitting) ==
        "draw: second: got memory that overlaps first, wanted memory of its own");
  how.drawn.first = matrix_view<index_t>(first.data(), 4, 11);
  CHECK(draw({second.data(), 4, 4}, fitting) ==
        "draw: drawn: got draws that were made before, wanted none: a key to draw by");
}

}  // namespace misuse_test
