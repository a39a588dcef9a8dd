// The precision of matrix products.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Precision in which losses multiply matrices of float, half and bfloat16 features. Sums are always
/// float; double features stay double.
enum class product_precision {
  fp32,  ///< float
  tf32,  ///< operands rounded to 10 bits of mantissa, or more
  bf16,  ///< operands rounded to 7 bits of mantissa, or more
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
