// The draws of a row, many columns at a time: bit-identical to draw_uniform and draw_normal for
// every instruction set.
//
// A kernel works in steps; a step is the number of columns for which its vectors hold one Philox
// call per four columns. A functor then stores the draws, adds them to features, or compares them.
// A rest that does not fill a step is processed as a whole step in scratch memory, so that every
// column is computed in the same way. Per four columns: one Philox call (20 multiplications); per
// two normal draws: a logarithm, a square root, a sine and a cosine.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>

#include "feaug/core/draws.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/non_temporal.hpp"
#include "feaug/cpu/core/normal_draws.hpp"
#include "feaug/cpu/core/philox.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {
namespace detail {

/// Stores the draws.
template <class Draw>
struct store_draws {
  using draw = Draw;
  static constexpr bool reads = false;
  static constexpr bool takes_words = false;

  const float* x;  ///< not read
  float* out;
  bool non_temporal;

  [[nodiscard]] float apply(float drawn, float /*x*/) const { return drawn; }
#if FEAUG_X86
  FEAUG_AVX2 FEAUG_INLINE __m256 apply(__m256 drawn, __m256 /*x*/) const { return drawn; }
  FEAUG_AVX512 FEAUG_INLINE __m512 apply(__m512 drawn, __m512 /*x*/) const { return drawn; }
#endif
};

/// out = x + scale · draw, rounded twice: the asm statements prevent contraction to an fma, so that
/// noise drawn separately and added later gives the same bits.
struct add_normals {
  using draw = normal_draw;
  static constexpr bool reads = true;
  static constexpr bool takes_words = false;

  const float* x;
  float* out;
  bool non_temporal;
  float scale;

  [[nodiscard]] float apply(float drawn, float value) const { return value + scale * drawn; }
#if FEAUG_X86
  FEAUG_AVX2 FEAUG_INLINE __m256 apply(__m256 drawn, __m256 value) const {
    __m256 product = _mm256_set1_ps(scale) * drawn;
    asm("" : "+x"(product));
    return value + product;
  }
  FEAUG_AVX512 FEAUG_INLINE __m512 apply(__m512 drawn, __m512 value) const {
    __m512 product = _mm512_set1_ps(scale) * drawn;
    asm("" : "+v"(product));
    return value + product;
  }
#endif
};

/// out = x · (draw < probability). It is a product, so that NaN is kept. A uniform draw is the
/// upper 24 bits of a word times 2⁻²⁴, so draws are compared as integers.
struct keep_some {
  using draw = uniform_draw;
  static constexpr bool reads = true;
  static constexpr bool takes_words = true;  // vector code calls apply_words

  const float* x;
  float* out;
  bool non_temporal;
  float probability;
  std::int32_t steps_below = static_cast<std::int32_t>(std::ceil(probability * 0x1p24F));

  [[nodiscard]] float apply(float drawn, float value) const {
    return value * (drawn < probability ? 1.0F : 0.0F);
  }
#if FEAUG_X86
  FEAUG_AVX2 FEAUG_INLINE __m256 apply_words(__m256i words, __m256 value) const {
    const __m256i kept =
        _mm256_cmpgt_epi32(_mm256_set1_epi32(steps_below), _mm256_srli_epi32(words, 8));
    return value * _mm256_and_ps(_mm256_castsi256_ps(kept), _mm256_set1_ps(1.0F));
  }
  FEAUG_AVX512 FEAUG_INLINE __m512 apply_words(__m512i words, __m512 value) const {
    const __mmask16 dropped = _mm512_cmpge_epi32_mask(
        _mm512_maskz_srli_epi32(philox::all_32, words, 8), _mm512_set1_epi32(steps_below));
    return _mm512_mask_mov_ps(value, dropped, value * _mm512_setzero_ps());
  }
#endif
};

/// `steps` steps of 4 columns, portable code. Up to 256 steps are written at once, so that the
/// write can be vectorised and use non-temporal stores.
template <class Use>
void draw_steps(const random_key& key, index_t row, std::uint32_t block, index_t steps,
                const Use& use) {
  constexpr index_t together = 256;
  float drawn[4 * together];
  for (index_t step = 0; step < steps; step += together) {
    const index_t now = std::min(together, steps - step);
    for (index_t k = 0; k < now; ++k, ++block) {
      float four[4];
      feaug::detail::draw_four<typename Use::draw>(key, row, block, four);
      std::copy_n(four, 4, drawn + 4 * k);
    }
    const index_t first = 4 * step;
    write_elements(use.out + first, 4 * now, use.non_temporal, [&](index_t j) {
      return use.apply(drawn[j], Use::reads ? use.x[first + j] : 0.0F);
    });
  }
}

#if FEAUG_X86

/// The step of x for a column: 0 if x is not read, since it may then be null.
template <class Use>
inline constexpr index_t x_step = Use::reads ? 1 : 0;

/// Converts eight words in column order to draws and applies `use`.
template <class Use>
FEAUG_AVX2 FEAUG_INLINE __m256 made_of_words(const Use& use, __m256i words, const float* x) {
  if constexpr (Use::takes_words) {
    return use.apply_words(words, _mm256_loadu_ps(x));
  } else {
    __m256 drawn = _mm256_castsi256_ps(words);
    if constexpr (std::same_as<typename Use::draw, uniform_draw>) {
      drawn = _mm256_cvtepi32_ps(_mm256_srli_epi32(words, 8)) * _mm256_set1_ps(0x1p-24F);
    }
    return use.apply(drawn, Use::reads ? _mm256_loadu_ps(x) : drawn);
  }
}

template <class Use>
FEAUG_AVX2 FEAUG_INLINE void use_words(const Use& use, __m256i words, const float* x, float* out) {
  const __m256 result = made_of_words(use, words, x);
  if (use.non_temporal) {
    _mm256_stream_ps(out, result);
  } else {
    _mm256_storeu_ps(out, result);
  }
}

/// `steps` steps of 32 columns. With non-temporal stores `out` must be aligned to a cache line.
template <class Use>
FEAUG_AVX2 void draw_steps_avx2(const row_counter& row, std::uint32_t block, index_t steps,
                                const Use& use) {
  const Use with = use;
  const float* x = with.x;
  float* out = with.out;
  for (index_t step = 0; step < steps; ++step, block += 8, x += 32 * x_step<Use>, out += 32) {
    __m256i words[4];
    philox::draw_words(row, block, words);
    if constexpr (std::same_as<typename Use::draw, normal_draw>) {
      normals_from_words(words[0], words[1], words[0], words[1]);
      normals_from_words(words[2], words[3], words[2], words[3]);
    }
    philox::in_column_order(words);
    use_words(with, words[0], x, out);
    use_words(with, words[1], x + 8 * x_step<Use>, out + 8);
    use_words(with, words[2], x + 16 * x_step<Use>, out + 16);
    use_words(with, words[3], x + 24 * x_step<Use>, out + 24);
  }
}

/// The same for sixteen words.
template <class Use>
FEAUG_AVX512 FEAUG_INLINE __m512 made_of_words(const Use& use, __m512i words, const float* x) {
  if constexpr (Use::takes_words) {
    return use.apply_words(words, _mm512_loadu_ps(x));
  } else {
    __m512 drawn = _mm512_castsi512_ps(words);
    if constexpr (std::same_as<typename Use::draw, uniform_draw>) {
      drawn =
          to_float(_mm512_maskz_srli_epi32(philox::all_32, words, 8)) * _mm512_set1_ps(0x1p-24F);
    }
    return use.apply(drawn, Use::reads ? _mm512_loadu_ps(x) : drawn);
  }
}

template <class Use>
FEAUG_AVX512 FEAUG_INLINE void use_words(const Use& use, __m512i words, const float* x,
                                         float* out) {
  const __m512 result = made_of_words(use, words, x);
  if (use.non_temporal) {
    _mm512_stream_ps(out, result);
  } else {
    _mm512_storeu_ps(out, result);
  }
}

/// `steps` steps of 64 columns. With non-temporal stores `out` must be aligned to a cache line.
template <class Use>
FEAUG_AVX512 void draw_steps_avx512(const row_counter& row, std::uint32_t block, index_t steps,
                                    const Use& use) {
  const Use with = use;
  const float* x = with.x;
  float* out = with.out;
  for (index_t step = 0; step < steps; ++step, block += 16, x += 64 * x_step<Use>, out += 64) {
    __m512i words[4];
    philox::draw_words(row, block, words);
    if constexpr (std::same_as<typename Use::draw, normal_draw>) {
      normals_from_words(words[0], words[1], words[0], words[1]);
      normals_from_words(words[2], words[3], words[2], words[3]);
    }
    philox::in_column_order(words);
    use_words(with, words[0], x, out);
    use_words(with, words[1], x + 16 * x_step<Use>, out + 16);
    use_words(with, words[2], x + 32 * x_step<Use>, out + 32);
    use_words(with, words[3], x + 48 * x_step<Use>, out + 48);
  }
}

#endif

/// The number of columns of the longest step.
inline constexpr index_t step_columns = 64;

/// Processes as many whole steps as fit into `count` columns from column `first`, a multiple of 4.
/// Returns the number of columns processed.
template <class Use>
index_t use_whole_steps(instruction_set instructions, const random_key& key, index_t row,
                        index_t first, index_t count, const Use& use) {
  const auto block = static_cast<std::uint32_t>(first / 4);
#if FEAUG_X86
  if (instructions >= instruction_set::avx512) {
    draw_steps_avx512(row_counter(key, row), block, count / 64, use);
    return count / 64 * 64;
  }
  if (instructions == instruction_set::avx2) {
    draw_steps_avx2(row_counter(key, row), block, count / 32, use);
    return count / 32 * 32;
  }
#endif
  static_cast<void>(instructions);
  draw_steps(key, row, block, count / 4, use);
  return count / 4 * 4;
}

/// Processes `count` columns, at most one step.
template <class Use>
void use_part_of_step(instruction_set instructions, const random_key& key, index_t row,
                      index_t first, index_t count, const Use& use) {
  if (count == 0) return;
  float values[step_columns] = {};
  if constexpr (Use::reads) std::copy_n(use.x, count, values);
  Use in_scratch = use;
  in_scratch.x = values;
  in_scratch.out = values;
  in_scratch.non_temporal = false;
  use_whole_steps(instructions, key, row, first, step_columns, in_scratch);
  std::copy_n(values, count, use.out);
}

/// Applies `use` to the draws of columns first … first + count − 1 of a row. `first` is a multiple
/// of 4; use.x and use.out point to that column.
template <class Use>
void use_draws(instruction_set allowed, const random_key& key, index_t row, index_t first,
               index_t count, Use use) {
  const instruction_set instructions = usable(allowed);
  const auto advance = [&](index_t columns) {
    if constexpr (Use::reads) use.x += columns;
    use.out += columns;
    first += columns;
    count -= columns;
  };
  if (use.non_temporal) {
    // Steps must start at a cache line; this is possible if it coincides with a group of four
    // columns.
    const index_t head = std::min(until_cache_line(use.out), count);
    use.non_temporal = head % 4 == 0;
    if (use.non_temporal) {
      use_part_of_step(instructions, key, row, first, head, use);
      advance(head);
    }
  }
  advance(use_whole_steps(instructions, key, row, first, count, use));
  use_part_of_step(instructions, key, row, first, count, use);
}

}  // namespace detail

/// values[j] = the draw of column first + j of a row, for j < count. `first` is a multiple of 4.
template <class Draw>
void fill_draws(const cpu_context& ctx, const random_key& key, index_t row, index_t first,
                index_t count, float* values) {
  detail::use_draws(ctx.instructions, key, row, first, count,
                    detail::store_draws<Draw>{.x = nullptr, .out = values, .non_temporal = false});
}

/// out[j] = x[j] + scale · normal draw of column j, for a row. out may be x.
inline void add_normal_row(const cpu_context& ctx, const random_key& key, index_t row, index_t cols,
                           const float* x, float scale, float* out, bool non_temporal) {
  detail::use_draws(
      ctx.instructions, key, row, 0, cols,
      detail::add_normals{.x = x, .out = out, .non_temporal = non_temporal, .scale = scale});
}

/// out[j] = x[j] · (the uniform draw of column j < probability), for a row. out may be x.
inline void keep_some_row(const cpu_context& ctx, const random_key& key, index_t row, index_t cols,
                          const float* x, float probability, float* out, bool non_temporal) {
  detail::use_draws(
      ctx.instructions, key, row, 0, cols,
      detail::keep_some{
          .x = x, .out = out, .non_temporal = non_temporal, .probability = probability});
}

}  // namespace cpu
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
