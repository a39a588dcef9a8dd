// Include this to use symmetric_info_nce on the CPU: its declarations, and its implementation from
// two_view_contrast.hpp.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/two_view_contrast.hpp"
#include "feaug/loss/symmetric_info_nce.hpp"

#include "feaug/header_end.hpp"
