// In which pieces of bfloat16 a call's products are computed.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <limits>

#include "feaug/core/element.hpp"
#include "feaug/core/product_precision.hpp"
#include "feaug/cpu/core/bfloat16_product.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/tile_operands.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// How one worker computes its products. They share their scratch.
struct product_pieces {
  bfloat16_pieces of_features;        ///< products of features: logits, moments
  bfloat16_pieces of_weights;         ///< products of weights and features: gradients, means
  bfloat16_pieces of_exact_features;  ///< products of features that are packed exactly

  /// Products of features, which are packed exactly if they have factors (null: not).
  [[nodiscard]] bfloat16_pieces for_logits(const float* row_factors,
                                           const float* column_factors) const {
    if (row_factors == nullptr) return of_features;
    bfloat16_pieces pieces = of_exact_features;
    pieces.row_factors = row_factors;
    pieces.column_factors = column_factors;
    return pieces;
  }
  [[nodiscard]] bfloat16_pieces for_logits(const double*, const double*) const {
    return of_features;
  }
};

inline constexpr int bits_of_piece = 8;

/// Significant bits of a stored element.
template <element T>
inline constexpr int significant_bits = std::numeric_limits<compute_t<T>>::digits;
template <>
inline constexpr int significant_bits<half> = 11;
template <>
inline constexpr int significant_bits<bfloat16> = 8;

/// Whether products of features with `bits` significant bits, `cols` deep, gain if these are packed
/// exactly, since they then need fewer pieces. AMX is faster than vectors of floats with up to three
/// pieces, vdpbf16ps with one.
template <std::floating_point C>
bool gains_by_exact_rows(const cpu_context& ctx, int bits, index_t cols) {
  const instruction_set instructions = usable(ctx.instructions);
  const int most = instructions >= instruction_set::amx           ? 2
                   : instructions >= instruction_set::avx512_bf16 ? 1
                                                                  : 0;
  return std::same_as<C, float> && bits <= most * bits_of_piece && gains_by_pieces(cols);
}

/// For features with `bits` significant bits. Products of features are as accurate as those of
/// floats. Weights of half and bfloat16 features, whose gradients have 11 significant bits at most,
/// have 16. A lower precision of the context holds for both.
template <std::floating_point C>
product_pieces take_pieces(const cpu_context& ctx, workspace::scope& scratch, int bits) {
  const instruction_set instructions = usable(ctx.instructions);
  if (!std::same_as<C, float> || instructions < instruction_set::avx512_bf16) return {};
  const int most = ctx.precision == product_precision::fp32   ? 3
                   : ctx.precision == product_precision::tf32 ? 2
                                                              : 1;
  const int exact = (bits + bits_of_piece - 1) / bits_of_piece;
  if (instructions < instruction_set::amx) {
    if (most > 1 && exact > 1) return {};
    const bfloat16_pieces one = {.count = 1,
                                 .are_all = exact == 1,
                                 .scratch = scratch.take<std::uint16_t>(piece_scratch_size(1))};
    const bfloat16_pieces of_floats = most == 1 ? one : bfloat16_pieces{};
    return {.of_features = of_floats, .of_weights = of_floats, .of_exact_features = one};
  }
  auto* const memory = scratch.take<std::uint16_t>(piece_scratch_size(most));
  return {.of_features = {.count = most, .scratch = memory},
          .of_weights = {.count = std::min(most, std::max(exact, 2)), .scratch = memory},
          .of_exact_features = {
              .count = std::min(most, exact), .are_all = exact <= most, .scratch = memory}};
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
