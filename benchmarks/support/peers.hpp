// The peers' libraries that were built. Each is loaded once, with its dependencies hidden from the
// others, because several of them define functions of the same name, for example sgemm_.
#pragma once

#include <vector>

#include "support/peer.hpp"

namespace bench {

/// The peers that load; none with --no-peers. Load failures are reported on standard error.
const std::vector<const peer*>& peers();

}  // namespace bench
