// Random queues and searches.
#pragma once

#include "fuzz/choices.hpp"

namespace fuzz {

/// Batches are enqueued, and neighbours are found, with and without a shadow; compared with plain
/// loops in double. Slots must be equal.
void try_search(choices& choose);

}  // namespace fuzz
