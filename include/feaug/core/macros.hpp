// FEAUG_HD marks what host and device share: formulas of elements, draws, views. Empty for a plain
// C++ compiler.
#pragma once

#if defined(__CUDACC__)
#define FEAUG_HD __host__ __device__
#else
#define FEAUG_HD
#endif
