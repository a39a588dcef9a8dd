// Random calls of augmentations.
#pragma once

#include "fuzz/choices.hpp"

namespace fuzz {

/// Forward and backward, in place and not, with several threads, in micro-batches, beside double.
void try_augmentation(choices& choose);

/// A call with a damaged argument, which must be refused before anything is written.
void try_refused_augmentation(choices& choose);

}  // namespace fuzz
