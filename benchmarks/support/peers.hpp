// The peers' libraries that were built: loaded once, each with its dependencies out of the others'
// sight, since several of them bring a function of the same name, sgemm_ for one.
#pragma once

#include <vector>

#include "support/peer.hpp"

namespace bench {

/// Those that load; none with --no-peers. What does not load is told on standard error.
const std::vector<const peer*>& peers();

}  // namespace bench
