// The data to augment: rows of a few classes, and a queue of other rows of the same classes.
#pragma once

#include <cstdint>
#include <vector>

#include "dataset.hpp"
#include "feaug/core/random.hpp"
#include "feaug/cpu/core/context.hpp"
#include "matrix_view.hpp"
#include "network/matrix.hpp"
#include "settings.hpp"

namespace gallery {

struct scene {
  network::matrix<float> rows;
  std::vector<std::int64_t> labels;  ///< class of each row: 0, 1, …
  network::matrix<float> queue;
};

using trainer::view;

/// Three clouds of points in the plane, at a distance of about 1 from the origin.
scene plane(const feaug::random_key& key);

/// Unit features of held-out images of four classes, from an encoder that is trained here; the
/// queue has features of training images.
scene fashion(feaug::cpu_context& ctx, const trainer::settings& chosen,
              const trainer::fashion_mnist& data);

}  // namespace gallery
