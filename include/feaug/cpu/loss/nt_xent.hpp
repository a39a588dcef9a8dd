// CPU implementation of nt_xent, with its declarations.
#pragma once

#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/two_view_contrast.hpp"
#include "feaug/loss/nt_xent.hpp"
