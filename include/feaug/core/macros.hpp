// FEAUG_HD marks functions shared by host and device. It is empty for a plain C++ compiler.
#pragma once

#include "feaug/header_begin.hpp"

#if defined(__CUDACC__)
#define FEAUG_HD __host__ __device__
#else
#define FEAUG_HD
#endif

#include "feaug/header_end.hpp"
