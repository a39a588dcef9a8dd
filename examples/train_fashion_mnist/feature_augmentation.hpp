// The feature augmentations that the command line offers, as feaug's policies.
#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "feaug/feaug.hpp"
#include "settings.hpp"

namespace trainer {

using any_augmentation =
    std::variant<feaug::keep_features, feaug::neighbour_policy<float>,
                 feaug::neighbour_policy<float, feaug::memory_space::host, feaug::mean_neighbour>,
                 feaug::soft_neighbour_policy<float>, feaug::mask, feaug::gaussian_noise,
                 feaug::interpolate, feaug::extrapolate, feaug::slerp, feaug::exchange_moments>;

inline any_augmentation augmentation_of(feature_augmentation which, const settings& chosen,
                                        const feaug::support_queue<float>& queue,
                                        const std::vector<std::int64_t>& ids) {
  // While the queue is empty a feature is its own neighbour; later its own image, seen an epoch
  // ago, does not count.
  constexpr auto fallback = feaug::neighbour_fallback::query;
  // Where the neighbour stands for what is learned, a constant would teach the network nothing.
  const auto gradient = chosen.augments_predictions() ? feaug::neighbour_gradient::straight_through
                                                      : feaug::neighbour_gradient::none;
  const feaug::vector_view<const std::int64_t> own(ids.data(),
                                                   static_cast<feaug::index_t>(ids.size()));
  switch (which) {
    case feature_augmentation::none:
      break;
    case feature_augmentation::neighbour:
      return feaug::neighbour_from(queue, {.gradient = gradient, .fallback = fallback},
                                   {.exclude_ids = own});
    case feature_augmentation::mean_neighbour:
      return feaug::neighbour_from(
          queue, feaug::mean_neighbour{.k = 5, .gradient = gradient, .fallback = fallback},
          {.exclude_ids = own});
    case feature_augmentation::soft_neighbour:
      return feaug::soft_neighbour_from(queue, {.k = 5, .fallback = fallback},
                                        {.exclude_ids = own});
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
  return feaug::keep_features{};
}

/// All that were asked for, in turn: at most four.
inline auto composed_of(const settings& chosen, const feaug::support_queue<float>& queue,
                        const std::vector<std::int64_t>& ids) {
  const std::vector<feature_augmentation> which = chosen.augmentations();
  const auto at = [&](std::size_t i) {
    return augmentation_of(i < which.size() ? which[i] : feature_augmentation::none, chosen, queue,
                           ids);
  };
  return feaug::compose(at(0), at(1), at(2), at(3));
}

}  // namespace trainer
