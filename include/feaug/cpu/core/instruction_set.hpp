// The instruction sets of the CPU kernels, selected at run time, not at compile time.
//
// A kernel has one free function for each instruction set, and a portable one, which is always
// available and is the reference in tests. Functions for an instruction set are marked FEAUG_AVX2
// or FEAUG_AVX512. They must not use lambdas, since called functions do not inherit the mark.
//
// These functions write sums, differences, products and quotients of vectors as operators, which
// follow the pragma of header_begin.hpp. The intrinsics are functions of <immintrin.h>. If a program
// includes that header first, clang++ gives them the program's flags: with -ffast-math NaN · 0 is 0.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>

#include "feaug/version.hpp"

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>
#include <immintrin.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

/// 1 if the compiler can generate x86 code for instruction sets beyond its target.
#define FEAUG_X86 1
#define FEAUG_AVX2 __attribute__((target("avx2,fma,f16c")))
#define FEAUG_AVX512 \
  __attribute__((target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define FEAUG_AVX512_BF16                                                   \
  __attribute__((                                                           \
      target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni," \
             "avx512bf16")))
/// 1 if it can for AMX, too. Linux gives its registers on request only.
#if defined(__linux__) && defined(SYS_arch_prctl)
#define FEAUG_AMX_COMPILES 1
#define FEAUG_AMX                                                                    \
  __attribute__((                                                                    \
      target("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,amx-tile," \
             "amx-bf16,amx-int8")))
#else
#define FEAUG_AMX_COMPILES 0
#endif
/// For helpers that are inlined into such functions; they need the mark too.
#define FEAUG_INLINE __attribute__((always_inline)) inline
#else
#define FEAUG_X86 0
#define FEAUG_AMX_COMPILES 0
#endif

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Each set includes the previous ones.
enum class instruction_set {
  portable,     ///< the compiler's target
  avx2,         ///< AVX2, FMA and half precision: x86 since 2013
  avx512,       ///< AVX-512 F, BW, DQ, VL and VNNI: servers since 2019
  avx512_bf16,  ///< and products of bfloat16, where they are fast: AMD since 2022
  amx           ///< and AMX with bfloat16 and 8 bits, on Linux: Intel's servers since 2023
};

#if FEAUG_X86
namespace cpu::detail {

#if FEAUG_AMX_COMPILES
/// Whether the processor has AMX with bfloat16 and 8 bits, and Linux gives this process its
/// registers. Linux refuses, for example, if the stack of a signal handler is too small for them.
inline bool has_amx() {
  unsigned eax = 0;
  unsigned ebx = 0;
  unsigned ecx = 0;
  unsigned edx = 0;
  constexpr unsigned wanted = 1U << 24U | 1U << 22U | 1U << 25U;  // tiles, bfloat16, 8 bits
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx & wanted) != wanted)
    return false;
  constexpr long request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr long tile_data = 18;
  return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}
#else
inline bool has_amx() { return false; }
#endif

inline instruction_set ask_processor() {
  // Checks F16C, VNNI and products of bfloat16 by cpuid, which __builtin_cpu_supports does not
  // cover. The builtins also check that the operating system saves the registers.
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
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
    constexpr unsigned bf16 = 1U << 5U;
    if (__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) == 0 || (eax & bf16) == 0)
      return instruction_set::avx512;
    if (has_amx()) return instruction_set::amx;
    // Intel's vectors multiply bfloat16 at half the rate of floats (measured on a Xeon with AMX).
    return __builtin_cpu_is("amd") != 0 ? instruction_set::avx512_bf16 : instruction_set::avx512;
  }
  return instruction_set::avx2;
}

}  // namespace cpu::detail
#endif

/// The best instruction set of this machine. The processor is queried once.
inline instruction_set best_instruction_set() {
#if FEAUG_X86
  static const instruction_set best = cpu::detail::ask_processor();
  return best;
#else
  return instruction_set::portable;
#endif
}

namespace cpu {

/// The best instruction set that is both allowed and available.
inline instruction_set usable(instruction_set allowed) {
  return std::min(allowed, best_instruction_set());
}

}  // namespace cpu

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
