// How a call's products use AMX.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <concepts>
#include <cstdint>

#include "feaug/core/product_precision.hpp"
#include "feaug/cpu/core/amx_product.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/tile_operands.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// How one worker computes its products with AMX. They share their scratch.
struct amx_use {
  amx_pieces of_features;  ///< products of features: logits, moments
  amx_pieces of_weights;   ///< products of weights and features: gradients, means
};

/// For features with `element_bytes`. Products of features are as accurate as those of floats. Weights
/// of features of 16 bits, whose gradients have 11 significant bits at most, have 16 significant bits.
/// A lower precision of the context holds for both.
template <std::floating_point C>
amx_use take_amx(const cpu_context& ctx, workspace::scope& scratch, index_t element_bytes) {
  if (!std::same_as<C, float> || usable(ctx.instructions) < instruction_set::amx) return {};
  const int most = ctx.precision == product_precision::fp32   ? 3
                   : ctx.precision == product_precision::tf32 ? 2
                                                              : 1;
  auto* const memory = scratch.take<std::uint16_t>(amx_scratch_size(most));
  const int of_weights = element_bytes == sizeof(std::uint16_t) ? std::min(most, 2) : most;
  return {.of_features = {.count = most, .scratch = memory},
          .of_weights = {.count = of_weights, .scratch = memory}};
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
