// CPU implementation of symmetric_info_nce, with its declarations.
#pragma once

#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/two_view_contrast.hpp"
#include "feaug/loss/symmetric_info_nce.hpp"
