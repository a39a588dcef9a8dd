// Extrapolation: moves a feature away from its partner.
#pragma once

#include "feaug/header_begin.hpp"

#include <limits>
#include <string_view>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/mix.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// out = w·x + (1 − w)·partner with w ≥ 1: harder positives (Zhu et al., FT, arXiv 2108.02982). The
/// gradient is w·g with respect to x and (1 − w)·g with respect to the partner. At w = 1 the output
/// is x.
/// The partner of a row is another row of the batch, given by an internally drawn permutation
/// (which may have fixed points); with_partner takes any view instead. Since the permutation covers
/// only the rows of the call, micro-batches draw other partners than the whole batch.
struct extrapolate {
  weight_distribution distribution = weight_distribution::fixed;
  float weight = 1.5F;  ///< w for fixed
  float low = 1.0F;     ///< for uniform: w is uniform in [low, high)
  float high = 2.0F;
  float alpha = 2.0F;  ///< for beta: w is 1 + a Beta(alpha, beta) draw
  float beta = 2.0F;
  draw_per per = draw_per::row;

  static constexpr float least = 1.0F;
  static constexpr float most = std::numeric_limits<float>::max();
  static constexpr std::string_view range = "a finite weight of at least 1";
  FEAUG_HD static constexpr float from_beta(float drawn) { return 1.0F + drawn; }
};

template <>
struct augmentation_traits<extrapolate> : detail::permuted_mix_traits<extrapolate> {
  static constexpr std::string_view name = "extrapolate";
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
