// CPU implementation of step and step_direction: includes the operators that they call.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/cpu/augment/augmentation.hpp"
#include "feaug/cpu/augment/l2_normalize.hpp"
#include "feaug/cpu/loss/info_nce.hpp"
#include "feaug/cpu/loss/negative_cosine.hpp"
#include "feaug/cpu/loss/nt_xent.hpp"
#include "feaug/cpu/step/step_sums.hpp"
#include "feaug/step/step.hpp"

#include "feaug/header_end.hpp"
