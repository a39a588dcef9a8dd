// How the losses of a batch's rows are reduced.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

enum class reduce {
  mean,  ///< one number: the mean over the rows
  sum,   ///< one number: their sum
  none,  ///< one loss a row; the backward pass takes one cotangent (upstream gradient) a row
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
