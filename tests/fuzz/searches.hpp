// Random queues and searches.
#pragma once

#include "fuzz/choices.hpp"

namespace fuzz {

/// Batches are enqueued, and neighbours are found, with and without a shadow; compared with plain
/// loops in double. Slots must be equal. Some calls have a bad argument, which must be refused before
/// anything is written.
void try_search(choices& choose);

}  // namespace fuzz
