// Interpolation: a feature on the way to its partner.
#pragma once

#include <string_view>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/mix.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// out = w·x + (1 − w)·partner with w in [0, 1]: mixup in feature space (Verma et al., arXiv
/// 1806.05236). The gradient is w·g to x and (1 − w)·g to the partner. For pseudo-neighbours
/// (pNNCLR) the partner is a neighbour and w small. The partner of a row is another row of the
/// batch, by a permutation that is drawn inside (it may fix rows); with_partner takes any view
/// instead. Since the permutation is one of the rows at hand, micro-batches draw other partners
/// than the whole batch.
struct interpolate {
  weight_distribution distribution = weight_distribution::fixed;
  float weight = 0.5F;  ///< w, if fixed
  float low = 0.0F;     ///< w is uniform in [low, high), if uniform
  float high = 1.0F;
  float alpha = 2.0F;  ///< w is the Beta(alpha, beta) number, if beta
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
