// A scene, augmented with every augmentation of the library.
#pragma once

#include <string>
#include <vector>

#include "feaug/core/random.hpp"
#include "feaug/cpu/core/context.hpp"
#include "network/matrix.hpp"
#include "scene.hpp"

namespace gallery {

struct named_rows {
  std::string name;  ///< the augmentation's name
  network::matrix<float> rows;
};

/// The scene's rows under each augmentation, with the settings stated in docs/gallery.md.
std::vector<named_rows> augmented(feaug::cpu_context& ctx, scene& from,
                                  const feaug::random_key& key);

/// For each kind of mask, which of `cols` features it keeps in 24 rows: 0 or 1.
std::vector<named_rows> masks(feaug::cpu_context& ctx, network::index cols,
                              const feaug::random_key& key);

}  // namespace gallery
