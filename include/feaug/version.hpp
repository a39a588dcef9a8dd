// The version, defined only here. CMake reads it from this file.
#pragma once

#include "feaug/header_begin.hpp"

#if defined(_MSVC_LANG)
#define FEAUG_DETAIL_LANGUAGE _MSVC_LANG
#else
#define FEAUG_DETAIL_LANGUAGE __cplusplus
#endif
#if FEAUG_DETAIL_LANGUAGE < 202002L
#error "feaug needs C++20: -std=c++20, of nvcc too (CMake: CXX_STANDARD 20, CUDA_STANDARD 20)"
#endif
#undef FEAUG_DETAIL_LANGUAGE

#if !defined(__cpp_exceptions) && !defined(__CUDA_ARCH__)
#error "feaug needs exceptions: it reports bad arguments by them. Compile without -fno-exceptions"
#endif

#define FEAUG_VERSION_MAJOR 0
#define FEAUG_VERSION_MINOR 1
#define FEAUG_VERSION_PATCH 0

// Two versions of feaug may be loaded into one process (for example by two plug-ins of one
// trainer). Every name is therefore in an inline namespace that carries the version: users write
// feaug::… for feaug::v0_1::….
#define FEAUG_DETAIL_JOIN_EXPANDED(major, minor) v##major##_##minor
#define FEAUG_DETAIL_JOIN(major, minor) FEAUG_DETAIL_JOIN_EXPANDED(major, minor)
#define FEAUG_VERSION_NAMESPACE FEAUG_DETAIL_JOIN(FEAUG_VERSION_MAJOR, FEAUG_VERSION_MINOR)

#include "feaug/header_end.hpp"
