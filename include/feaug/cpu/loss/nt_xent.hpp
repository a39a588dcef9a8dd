// Include this to use nt_xent on the CPU: its declarations, and its implementation from
// two_view_contrast.hpp.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/two_view_contrast.hpp"
#include "feaug/loss/nt_xent.hpp"

#include "feaug/header_end.hpp"
