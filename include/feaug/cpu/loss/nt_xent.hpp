// nt_xent on the CPU: its contract, and what carries it out.
#pragma once

#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/loss/two_view_contrast.hpp"
#include "feaug/loss/nt_xent.hpp"
