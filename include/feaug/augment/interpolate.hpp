// Interpolation: moves a feature towards its partner.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/mix.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// out = w·x + (1 − w)·partner with w in [0, 1]: mixup in feature space (Verma et al., arXiv
/// 1806.05236). The gradient is w·g with respect to x and (1 − w)·g with respect to the partner.
/// For pseudo-neighbours (pNNCLR) the partner is a neighbour and w is small. The partner of a row
/// is another row of the batch, given by an internally drawn permutation (which may have fixed
/// points); with_partner takes any view instead. Since the permutation covers only the rows of the
/// call, micro-batches draw other partners than the whole batch.
struct interpolate {
  weight_distribution distribution = weight_distribution::fixed;
  float weight = 0.5F;  ///< w for fixed
  float low = 0.0F;     ///< for uniform: w is uniform in [low, high)
  float high = 1.0F;
  float alpha = 2.0F;  ///< for beta: w is a Beta(alpha, beta) draw
  float beta = 2.0F;
  draw_per per = draw_per::row;

  static constexpr float least = 0.0F;
  static constexpr float most = 1.0F;
  static constexpr std::string_view range = "a weight from 0 to 1";
  FEAUG_HD static constexpr float from_beta(float drawn) { return drawn; }
};

template <>
struct augmentation_traits<interpolate> : detail::permuted_mix_traits<interpolate> {
  static constexpr std::string_view name = "interpolate";
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
