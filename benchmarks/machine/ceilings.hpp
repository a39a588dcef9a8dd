// Loops that do nothing but what a ceiling is about. Each returns something that depends on all of
// it.
#pragma once

#include <cstdint>

namespace bench::ceiling {

/// Multiplications and additions of one round.
inline constexpr double fma_flops = 2.0 * 12 * 16;
inline constexpr double int8_operations = 2.0 * 12 * 64;

/// Rounds of twelve independent fused multiply-adds of 16 floats: more than the latency hides.
float fma(std::int64_t rounds);

/// The same of 64 products of bytes, summed by fours; false in `has_int8` where there is no VNNI.
std::int32_t int8_dot(std::int64_t rounds);
bool has_int8();

/// Copies past the caches, where the processor can. `count` is a multiple of 16.
void copy(const float* from, float* to, std::int64_t count);

}  // namespace bench::ceiling
