// Random calls of losses.
#pragma once

#include "fuzz/choices.hpp"

namespace fuzz {

/// A valid call, compared with double and with the formula.
void try_loss(choices& choose);

/// A call with a damaged argument, which must be refused before anything is written.
void try_refused_loss(choices& choose);

}  // namespace fuzz
