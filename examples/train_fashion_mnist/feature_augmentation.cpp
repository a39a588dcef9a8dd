#include "feature_augmentation.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "feaug/core/error.hpp"
#include "matrix_view.hpp"

namespace trainer {
namespace {

any_augmentation augmentation_of(feature_augmentation which, const settings& chosen,
                                 const augmentation_inputs& inputs) {
  if (reads_queue(which) && inputs.epoch < chosen.neighbour_from_epoch) return feaug::identity{};
  // If no neighbour is found (the queue is empty), the feature itself is used. The feature's own
  // image, enqueued an epoch ago, is excluded.
  constexpr auto fallback = feaug::neighbour_fallback::query;
  // If the neighbour replaces the feature that learns, a constant would give the network no
  // gradient.
  const auto gradient = chosen.augments_predictions() ? feaug::neighbour_gradient::straight_through
                                                      : feaug::neighbour_gradient::none;
  const feaug::vector_view<const std::int64_t> own(inputs.ids.data(),
                                                   static_cast<feaug::index_t>(inputs.ids.size()));
  feaug::similarity_range similarity;
  if (chosen.similarity_floor > -1) similarity.floor = chosen.similarity_floor;
  const feaug::neighbour nearest = {
      .gradient = gradient, .fallback = fallback, .similarity = similarity};
  const feaug::index_t k = chosen.neighbours;
  const auto neighbour_by = [&](const auto& how) -> any_augmentation {
    return feaug::neighbour_from(inputs.queue, how, {.exclude_ids = own});
  };
  switch (which) {
    case feature_augmentation::none:
      break;
    case feature_augmentation::neighbour:
      return neighbour_by(nearest);
    case feature_augmentation::random_neighbour:
      return neighbour_by(feaug::random_neighbour{
          .k = k, .gradient = gradient, .fallback = fallback, .similarity = similarity});
    case feature_augmentation::mean_neighbour:
      return neighbour_by(feaug::mean_neighbour{
          .k = k, .gradient = gradient, .fallback = fallback, .similarity = similarity});
    case feature_augmentation::pseudo_neighbour:
      return neighbour_by(
          feaug::pseudo_neighbour{.of = nearest, .weight = 0.5F, .normalize = true});
    case feature_augmentation::mutual_neighbour:
      return neighbour_by(feaug::mutual_neighbour{.of = nearest});
    case feature_augmentation::soft_neighbour:
      // It needs k rows; until the queue has them, the feature is unchanged.
      if (*inputs.queue.size < k) break;
      return feaug::soft_neighbour_from(inputs.queue, {.k = k, .fallback = fallback},
                                        {.exclude_ids = own});
    case feature_augmentation::covariance_noise:
      if (*inputs.covariance.count == 0) break;
      return feaug::covariance_noise(inputs.covariance,
                                     static_cast<float>(chosen.covariance_scale));
    case feature_augmentation::mask:
      return feaug::mask{.keep_probability = static_cast<float>(chosen.mask_keep)};
    case feature_augmentation::noise:
      return feaug::gaussian_noise{.scale = static_cast<float>(chosen.noise_scale)};
    case feature_augmentation::interpolate:
      return feaug::interpolate{.distribution = feaug::weight_distribution::uniform,
                                .low = static_cast<float>(chosen.interpolate_from),
                                .high = 1.0F};
    case feature_augmentation::extrapolate:
      return feaug::extrapolate{.distribution = feaug::weight_distribution::uniform,
                                .low = 1.0F,
                                .high = static_cast<float>(chosen.extrapolate_to)};
    case feature_augmentation::slerp:
      return feaug::slerp{.distribution = feaug::weight_distribution::uniform,
                          .low = static_cast<float>(chosen.interpolate_from),
                          .high = 1.0F};
    case feature_augmentation::exchange_moments:
      return feaug::exchange_moments{};
  }
  return feaug::identity{};
}

using part_traits = feaug::augmentation_on<feaug::cpu_context, any_augmentation>;
using network::matrix;
using const_view = feaug::matrix_view<const float>;

feaug::random_key key_of_part(const feaug::random_key& key, std::size_t part) {
  return key.streams_later(static_cast<int>(part) * sequence_traits::part_streams);
}

/// The outputs of all parts but the last, each computed from the previous part's output. They cover
/// all rows, whatever is selected, because a selected row may read any other row.
std::vector<matrix<float>> outputs_before_last(feaug::cpu_context& ctx,
                                               const augmentation_sequence& policy, const_view x,
                                               const feaug::random_key& key) {
  std::vector<matrix<float>> outputs(policy.parts.size() - 1);
  for (std::size_t part = 0; part < outputs.size(); ++part) {
    outputs[part].resize(x.rows(), x.cols());
    const const_view input = part == 0 ? x : view(std::as_const(outputs[part - 1]));
    part_traits::forward(ctx, policy.parts[part], input, key_of_part(key, part), {},
                         view(outputs[part]));
  }
  return outputs;
}

}  // namespace

augmentation_sequence augmentations_of(const settings& chosen, const augmentation_inputs& inputs) {
  augmentation_sequence all;
  for (const feature_augmentation which : chosen.augmentations())
    all.parts.push_back(augmentation_of(which, chosen, inputs));
  return all;
}

bool sequence_traits::wants_gradient(const augmentation_sequence& policy) {
  return std::any_of(policy.parts.begin(), policy.parts.end(), part_traits::wants_gradient);
}

void sequence_traits::validate(const augmentation_sequence& policy, feaug::index_t rows,
                               feaug::index_t cols) {
  const auto count = static_cast<feaug::index_t>(policy.parts.size());
  feaug::check::within(name, "parts", count, 1, most_parts);
  for (const any_augmentation& part : policy.parts) part_traits::validate(part, rows, cols);
}

void sequence_traits::add_memory(const augmentation_sequence& policy,
                                 feaug::check::call_memory& memory) {
  for (const any_augmentation& part : policy.parts) part_traits::add_memory(part, memory);
}

void sequence_traits::check_forward(const augmentation_sequence& policy,
                                    const feaug::matrix_view<float>& out, bool alone) {
  const bool only = alone && policy.parts.size() == 1;
  for (const any_augmentation& part : policy.parts) part_traits::check_forward(part, out, only);
}

void sequence_traits::check_backward(const augmentation_sequence& policy,
                                     const feaug::operand<float>& x, const const_view& grad_out) {
  for (const any_augmentation& part : policy.parts) part_traits::check_backward(part, x, grad_out);
}

void sequence_traits::forward(feaug::cpu_context& ctx, const augmentation_sequence& policy,
                              const_view x, const feaug::random_key& key,
                              const feaug::row_selection& selection,
                              feaug::matrix_view<float> out) {
  const std::vector<matrix<float>> outputs = outputs_before_last(ctx, policy, x, key);
  part_traits::forward(ctx, policy.parts.back(), outputs.empty() ? x : view(outputs.back()),
                       key_of_part(key, outputs.size()), selection, out);
}

void sequence_traits::backward(feaug::cpu_context& ctx, const augmentation_sequence& policy,
                               const feaug::operand<float>& x, const feaug::random_key& key,
                               const feaug::row_selection& selection, const_view grad_out) {
  std::vector<matrix<float>> inputs = outputs_before_last(ctx, policy, x.value, key);
  std::vector<matrix<float>> gradients(inputs.size());
  const_view incoming = grad_out;
  for (std::size_t part = inputs.size(); part > 0; --part) {
    gradients[part - 1].setZero(x.value.rows(), x.value.cols());
    const feaug::operand<float> input =
        feaug::differentiable(view(inputs[part - 1]), view(gradients[part - 1]));
    part_traits::backward(ctx, policy.parts[part], input, key_of_part(key, part),
                          part == inputs.size() ? selection : feaug::row_selection{}, incoming);
    incoming = input.gradient;
  }
  part_traits::backward(ctx, policy.parts.front(), x, key,
                        inputs.empty() ? selection : feaug::row_selection{}, incoming);
}

}  // namespace trainer
