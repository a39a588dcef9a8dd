// Loops that measure one machine ceiling each (FMA, int8 dot products, copying). Each returns a
// value that depends on all of its work, so that it is not optimised away.
#pragma once

#include <cstdint>

namespace bench::ceiling {

/// Operations per round.
inline constexpr double fma_flops = 2.0 * 12 * 16;
inline constexpr double int8_operations = 2.0 * 12 * 64;

/// Rounds of 12 independent fused multiply-adds of 16 floats: enough to hide the latency.
float fma(std::int64_t rounds);

/// The same with 64 products of bytes, summed in fours (VNNI). has_int8() is false if there is no
/// VNNI.
std::int32_t int8_dot(std::int64_t rounds);
bool has_int8();

/// Copies with non-temporal stores if the processor has AVX2 or AVX-512. `count` is a multiple of
/// 16.
void copy(const float* from, float* to, std::int64_t count);

}  // namespace bench::ceiling
