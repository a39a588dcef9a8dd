// Whether cuBLAS is used: if its header is found and FEAUG_NO_CUBLAS is not defined. Units of one
// program may decide differently, for example because their include paths differ. cuda_context and
// everything that uses it is therefore in an inline namespace that carries the decision, so that
// such units do not share functions. Users write feaug::cuda_context and feaug::cuda::… as usual.
#pragma once

#include "feaug/header_begin.hpp"

#if defined(__CUDACC__) && !defined(FEAUG_NO_CUBLAS)
#if __has_include(<cublas_v2.h>)
#define FEAUG_HAS_CUBLAS 1
#endif
#endif

#if defined(FEAUG_HAS_CUBLAS)
#define FEAUG_CUBLAS_NAMESPACE with_cublas
#else
#define FEAUG_CUBLAS_NAMESPACE without_cublas
#endif

#include "feaug/header_end.hpp"
