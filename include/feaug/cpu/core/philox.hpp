// Philox 4×32-10 for many counters of a row at once: bit-identical to the words of random.hpp.
//
// A round multiplies two of a counter's four words by constants to 64-bit products, and xors the
// halves with the other two words and the key. Each word is therefore stored in the lower half of a
// 64-bit lane; the upper half may have any content, since the multiplication ignores it. The upper
// half of a product is one shift away. Limited by integer arithmetic: 10 rounds of 2
// multiplications for each block of four words; counters stay in registers.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>

#include "feaug/core/random.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/version.hpp"

#if FEAUG_X86

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

namespace philox {

inline constexpr int rounds = 10;
inline constexpr std::uint32_t multipliers[2] = {0xD2511F53U, 0xCD9E8D57U};
inline constexpr std::uint32_t key_steps[2] = {0x9E3779B9U, 0xBB67AE85U};

}  // namespace philox

/// The part of the counters that all blocks of a row share (all of draw_block's but the block), and
/// the keys of all rounds.
struct row_counter {
  row_counter(const random_key& key, index_t row) {
    const auto global_row = static_cast<std::uint64_t>(row + key.row_offset);
    words[0] = static_cast<std::uint32_t>(global_row);
    words[1] = static_cast<std::uint32_t>((global_row >> 32) & 0xFFFFU) |
               (static_cast<std::uint32_t>(key.stream) << 16);
    words[2] = static_cast<std::uint32_t>(key.step);
    std::uint32_t now[2] = {static_cast<std::uint32_t>(key.seed),
                            static_cast<std::uint32_t>(key.seed >> 32)};
    for (auto& round : keys) {
      for (int half = 0; half < 2; ++half) {
        round[half] = now[half];
        now[half] += philox::key_steps[half];
      }
    }
  }
  std::uint32_t words[3];                ///< of the counter, after the block
  std::int64_t keys[philox::rounds][2];  ///< 32 bits each
};

namespace philox {

// Vectors of words: lane l of words[w] is word w of some block. The order of the blocks is chosen
// such that in_column_order, which transposes 4 × 4 words within 128 bits, gives column order.

FEAUG_AVX2 FEAUG_INLINE __m256i high_xor(__m256i product, __m256i word, __m256i key) {
  return _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(product, 32), word), key);
}

/// Eight blocks.
FEAUG_AVX2 FEAUG_INLINE void draw_words(const row_counter& row, std::uint32_t first_block,
                                        __m256i (&words)[4]) {
  const __m256i even = _mm256_set1_epi64x(multipliers[0]);
  const __m256i odd = _mm256_set1_epi64x(multipliers[1]);
  const __m256i first = _mm256_set1_epi64x(first_block);
  __m256i a0 = _mm256_add_epi64(first, _mm256_set_epi64x(5, 1, 4, 0));
  __m256i b0 = _mm256_add_epi64(first, _mm256_set_epi64x(7, 3, 6, 2));
  __m256i a1 = _mm256_set1_epi64x(row.words[0]);
  __m256i a2 = _mm256_set1_epi64x(row.words[1]);
  __m256i a3 = _mm256_set1_epi64x(row.words[2]);
  __m256i b1 = a1;
  __m256i b2 = a2;
  __m256i b3 = a3;
  for (const auto& keys : row.keys) {
    const __m256i key0 = _mm256_set1_epi64x(keys[0]);
    const __m256i key1 = _mm256_set1_epi64x(keys[1]);
    const __m256i a_even = _mm256_mul_epu32(a0, even);
    const __m256i b_even = _mm256_mul_epu32(b0, even);
    const __m256i a_odd = _mm256_mul_epu32(a2, odd);
    const __m256i b_odd = _mm256_mul_epu32(b2, odd);
    a0 = high_xor(a_odd, a1, key0);
    b0 = high_xor(b_odd, b1, key0);
    a2 = high_xor(a_even, a3, key1);
    b2 = high_xor(b_even, b3, key1);
    a1 = a_odd;
    b1 = b_odd;
    a3 = a_even;
    b3 = b_even;
  }
  words[0] = _mm256_blend_epi32(a0, _mm256_slli_epi64(b0, 32), 0xAA);
  words[1] = _mm256_blend_epi32(a1, _mm256_slli_epi64(b1, 32), 0xAA);
  words[2] = _mm256_blend_epi32(a2, _mm256_slli_epi64(b2, 32), 0xAA);
  words[3] = _mm256_blend_epi32(a3, _mm256_slli_epi64(b3, 32), 0xAA);
}

FEAUG_AVX2 FEAUG_INLINE void in_column_order(__m256i (&words)[4]) {
  const __m256i low01 = _mm256_unpacklo_epi32(words[0], words[1]);
  const __m256i high01 = _mm256_unpackhi_epi32(words[0], words[1]);
  const __m256i low23 = _mm256_unpacklo_epi32(words[2], words[3]);
  const __m256i high23 = _mm256_unpackhi_epi32(words[2], words[3]);
  words[0] = _mm256_unpacklo_epi64(low01, low23);
  words[1] = _mm256_unpackhi_epi64(low01, low23);
  words[2] = _mm256_unpacklo_epi64(high01, high23);
  words[3] = _mm256_unpackhi_epi64(high01, high23);
}

// Masked intrinsics with all lanes set: g++ 12 warns in its own headers about the unmasked ones.
inline constexpr unsigned char all_64 = 0xFF;
inline constexpr unsigned short all_32 = 0xFFFF;

FEAUG_AVX512 FEAUG_INLINE __m512i high_xor(__m512i product, __m512i word, __m512i key) {
  return _mm512_maskz_ternarylogic_epi64(all_64, _mm512_maskz_srli_epi64(all_64, product, 32), word,
                                         key, 0x96);
}

FEAUG_AVX512 FEAUG_INLINE __m512i interleave(__m512i even_lanes, __m512i odd_lanes) {
  return _mm512_mask_blend_epi32(0xAAAA, even_lanes,
                                 _mm512_maskz_slli_epi64(all_64, odd_lanes, 32));
}

/// Sixteen blocks.
FEAUG_AVX512 FEAUG_INLINE void draw_words(const row_counter& row, std::uint32_t first_block,
                                          __m512i (&words)[4]) {
  const __m512i even = _mm512_set1_epi64(multipliers[0]);
  const __m512i odd = _mm512_set1_epi64(multipliers[1]);
  const __m512i first = _mm512_set1_epi64(first_block);
  __m512i a0 = _mm512_add_epi64(first, _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0));
  __m512i b0 = _mm512_add_epi64(first, _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4));
  __m512i a1 = _mm512_set1_epi64(row.words[0]);
  __m512i a2 = _mm512_set1_epi64(row.words[1]);
  __m512i a3 = _mm512_set1_epi64(row.words[2]);
  __m512i b1 = a1;
  __m512i b2 = a2;
  __m512i b3 = a3;
  for (const auto& keys : row.keys) {
    const __m512i key0 = _mm512_set1_epi64(keys[0]);
    const __m512i key1 = _mm512_set1_epi64(keys[1]);
    const __m512i a_even = _mm512_maskz_mul_epu32(all_64, a0, even);
    const __m512i b_even = _mm512_maskz_mul_epu32(all_64, b0, even);
    const __m512i a_odd = _mm512_maskz_mul_epu32(all_64, a2, odd);
    const __m512i b_odd = _mm512_maskz_mul_epu32(all_64, b2, odd);
    a0 = high_xor(a_odd, a1, key0);
    b0 = high_xor(b_odd, b1, key0);
    a2 = high_xor(a_even, a3, key1);
    b2 = high_xor(b_even, b3, key1);
    a1 = a_odd;
    b1 = b_odd;
    a3 = a_even;
    b3 = b_even;
  }
  words[0] = interleave(a0, b0);
  words[1] = interleave(a1, b1);
  words[2] = interleave(a2, b2);
  words[3] = interleave(a3, b3);
}

FEAUG_AVX512 FEAUG_INLINE void in_column_order(__m512i (&words)[4]) {
  const __m512i low01 = _mm512_maskz_unpacklo_epi32(all_32, words[0], words[1]);
  const __m512i high01 = _mm512_maskz_unpackhi_epi32(all_32, words[0], words[1]);
  const __m512i low23 = _mm512_maskz_unpacklo_epi32(all_32, words[2], words[3]);
  const __m512i high23 = _mm512_maskz_unpackhi_epi32(all_32, words[2], words[3]);
  words[0] = _mm512_maskz_unpacklo_epi64(all_64, low01, low23);
  words[1] = _mm512_maskz_unpackhi_epi64(all_64, low01, low23);
  words[2] = _mm512_maskz_unpacklo_epi64(all_64, high01, high23);
  words[3] = _mm512_maskz_unpackhi_epi64(all_64, high01, high23);
}

}  // namespace philox
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#endif

#include "feaug/header_end.hpp"
