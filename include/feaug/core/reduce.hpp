// How the row losses of a batch become what the caller gets.
#pragma once

#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

enum class reduce {
  mean,  ///< one number: the mean over the rows
  sum,   ///< one number: their sum
  none,  ///< a loss a row, and a cotangent a row in the backward pass
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
