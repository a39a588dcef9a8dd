// Random views of an image: a random resized crop, a random flip and a random brightness.
#pragma once

#include <cstdint>
#include <string>

#include "feaug/cpu/core/context.hpp"
#include "network/matrix.hpp"
#include "streams.hpp"

namespace trainer {

/// Strength of a view's augmentation.
struct view_strength {
  float least_area;     ///< smallest crop area, as a share of the image; 1: the whole image
  float largest_ratio;  ///< of a crop's sides; ratios are drawn from 1 / this to this
  float flip_probability;
  float brightness;  ///< pixels are multiplied by a factor in 1 ± brightness
};

/// The strengths of view 0 and view 1.
struct view_pair {
  view_strength views[2];
};

/// none: the image itself, twice. weak, mild, symmetric: equal strengths. asymmetric: one strong,
/// one weak.
view_pair strengths_of(const std::string& data_augmentation);

/// View `view` (0 or 1) of `images` (N × 784). Row i uses the draws of row row_offset + i of update
/// `step`, so that results do not depend on the micro-batches.
network::matrix<float> make_view(feaug::cpu_context& ctx, const network::matrix<float>& images,
                                 const view_strength& strength, std::uint64_t seed,
                                 std::uint64_t step, int view, std::int64_t row_offset);

}  // namespace trainer
