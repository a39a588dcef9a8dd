// Views of an image: a random part of it, scaled back, perhaps mirrored, lighter or darker.
#pragma once

#include <cstdint>
#include <string>

#include "feaug/cpu/core/context.hpp"
#include "network/matrix.hpp"
#include "streams.hpp"

namespace trainer {

/// How far a view may go from its image.
struct view_strength {
  float least_area;  ///< of the part that is cut out, as a share of the image
  float flip_probability;
  float brightness;  ///< pixels are multiplied by 1 ± this
};

/// The strengths of view 0 and view 1.
struct view_pair {
  view_strength views[2];
};

/// symmetric: both alike. asymmetric: one strong, one weak.
view_pair strengths_of(const std::string& data_augmentation);

/// View `view` (0 or 1) of `images` (N × 784). Row i draws as row row_offset + i of update `step`,
/// whatever the batch is cut into.
network::matrix<float> make_view(feaug::cpu_context& ctx, const network::matrix<float>& images,
                                 const view_strength& strength, std::uint64_t seed,
                                 std::uint64_t step, int view, std::int64_t row_offset);

}  // namespace trainer
