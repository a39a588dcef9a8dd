// sqrt, exp, log, … of the C library. feaug calls them by these functions only, so that they give
// the same bits under any compiler flags. A pragma around feaug's headers sets the arithmetic of
// feaug's own functions. It does not cover two things:
//   * Calls of mathematical functions: std::sqrt and its relatives are inline functions of <cmath>,
//     which has the user's flags, and clang++ 14 gives those flags to calls of built-in functions,
//     too. It then approximates square roots and splits fused multiply-adds.
//   * With -ffast-math, glibc lets g++ replace calls in a loop by vector functions (libmvec), which
//     round differently. The argument passes through an assembly statement, which the vectoriser
//     cannot treat.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>

#include "feaug/core/macros.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

/// Returns x. With -ffast-math and g++ the value passes through an empty assembly statement, so that
/// the vectoriser leaves the call alone.
template <class C>
FEAUG_HD C one_at_a_time(C x) {
#if defined(FEAUG_DETAIL_OPTIONS_PUSHED) && defined(__x86_64__) && !defined(__CUDA_ARCH__)
  __asm__("" : "+x"(x));
#elif defined(FEAUG_DETAIL_OPTIONS_PUSHED) && defined(__aarch64__) && !defined(__CUDA_ARCH__)
  __asm__("" : "+w"(x));
#endif
  return x;
}

#if defined(__CUDACC__) || !defined(__GNUC__)
#define FEAUG_DETAIL_FLOAT(NAME) std::NAME
#define FEAUG_DETAIL_DOUBLE(NAME) std::NAME
#else
#define FEAUG_DETAIL_FLOAT(NAME) __builtin_##NAME##f
#define FEAUG_DETAIL_DOUBLE(NAME) __builtin_##NAME
#endif
#define FEAUG_DETAIL_OF_ONE(NAME)                                                            \
  FEAUG_HD inline float NAME(float x) { return FEAUG_DETAIL_FLOAT(NAME)(one_at_a_time(x)); } \
  FEAUG_HD inline double NAME(double x) { return FEAUG_DETAIL_DOUBLE(NAME)(one_at_a_time(x)); }
#define FEAUG_DETAIL_OF_TWO(NAME)                          \
  FEAUG_HD inline float NAME(float x, float y) {           \
    return FEAUG_DETAIL_FLOAT(NAME)(one_at_a_time(x), y);  \
  }                                                        \
  FEAUG_HD inline double NAME(double x, double y) {        \
    return FEAUG_DETAIL_DOUBLE(NAME)(one_at_a_time(x), y); \
  }

FEAUG_DETAIL_OF_ONE(exp)
FEAUG_DETAIL_OF_ONE(expm1)  // eˣ − 1
FEAUG_DETAIL_OF_ONE(log)
FEAUG_DETAIL_OF_ONE(log1p)  // log(1 + x)
FEAUG_DETAIL_OF_ONE(sin)
FEAUG_DETAIL_OF_ONE(cos)
FEAUG_DETAIL_OF_TWO(pow)
FEAUG_DETAIL_OF_TWO(atan2)
FEAUG_DETAIL_OF_TWO(hypot)

// These functions are exact. Loops with them may be vectorised.
#if defined(__clang__) && __FINITE_MATH_ONLY__ && defined(__x86_64__) && !defined(__CUDACC__)
// Whether clang++ 14 approximates square roots depends on the flags alone, not on the pragma.
inline float sqrt(float x) {
  __asm__("sqrtss %0, %0" : "+x"(x));
  return x;
}
inline double sqrt(double x) {
  __asm__("sqrtsd %0, %0" : "+x"(x));
  return x;
}
#else
FEAUG_HD inline float sqrt(float x) { return FEAUG_DETAIL_FLOAT(sqrt)(x); }
FEAUG_HD inline double sqrt(double x) { return FEAUG_DETAIL_DOUBLE(sqrt)(x); }
#endif

/// x·y + z, rounded once.
#if defined(__clang__) && !defined(__FMA__) && !defined(__ARM_FEATURE_FMA) && !defined(__CUDACC__)
// Without an instruction for it, clang++ replaces a call of fma that it recognises by a product and
// a sum, which round twice, if flags such as -fassociative-math allow it, and no macro shows whether
// they are set. It does not recognise a call by a volatile pointer.
inline float fma(float x, float y, float z) {
  float (*volatile library)(float, float, float) = &::fmaf;
  return library(x, y, z);
}
inline double fma(double x, double y, double z) {
  double (*volatile library)(double, double, double) = &::fma;
  return library(x, y, z);
}
#else
FEAUG_HD inline float fma(float x, float y, float z) { return FEAUG_DETAIL_FLOAT(fma)(x, y, z); }
FEAUG_HD inline double fma(double x, double y, double z) {
  return FEAUG_DETAIL_DOUBLE(fma)(x, y, z);
}
#endif

#undef FEAUG_DETAIL_OF_TWO
#undef FEAUG_DETAIL_OF_ONE
#undef FEAUG_DETAIL_DOUBLE
#undef FEAUG_DETAIL_FLOAT

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail

#include "feaug/header_end.hpp"
