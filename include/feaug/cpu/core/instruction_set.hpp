// Which instructions the CPU's own kernels use: chosen when a program runs, not when it is
// compiled.
//
// A kernel is one free function for each instruction set it is written for, and a portable one,
// which is always there and is what the others are tested against. Functions for an instruction set
// carry FEAUG_AVX2 or FEAUG_AVX512; no Eigen and no lambda belongs into them, since what is called
// does not inherit the mark.
#pragma once

#include <algorithm>

#include "feaug/version.hpp"

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>

/// 1 where the compiler can make x86 code for processors newer than it was told of.
#define FEAUG_X86 1
#define FEAUG_AVX2 __attribute__((target("avx2,fma,f16c")))
#define FEAUG_AVX512 \
  __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
/// For the pieces of such functions, which carry the mark as well.
#define FEAUG_INLINE __attribute__((always_inline)) inline
#else
#define FEAUG_X86 0
#endif

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Each has what those before it have.
enum class instruction_set {
  portable,  ///< what the compiler was told
  avx2,      ///< AVX2, FMA and half precision: x86 since 2013
  avx512     ///< AVX-512 F, BW, DQ, VL and VNNI: servers since 2019
};

#if FEAUG_X86
namespace cpu::detail {

inline instruction_set ask_processor() {
  // What no compiler's own question covers; whether the system saves the registers theirs do.
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  const bool has_half = __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx >> 29U & 1U) != 0;
  const bool has_vnni =
      __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (ecx >> 11U & 1U) != 0;
  if (!has_half || !__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
    return instruction_set::portable;
  if (has_vnni && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
    return instruction_set::avx512;
  return instruction_set::avx2;
}

}  // namespace cpu::detail
#endif

/// The best that this machine has. Asks the processor once.
inline instruction_set best_instruction_set() {
#if FEAUG_X86
  static const instruction_set best = cpu::detail::ask_processor();
  return best;
#else
  return instruction_set::portable;
#endif
}

namespace cpu {

/// The best that is allowed and that there is.
inline instruction_set usable(instruction_set allowed) {
  return std::min(allowed, best_instruction_set());
}

}  // namespace cpu

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
