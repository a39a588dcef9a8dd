// Many runs, one after the other, and their table.
#pragma once

#include "sweep_lists.hpp"

namespace trainer {

/// Carries out the runs whose results the sweep's file does not have yet, adds each to it as it
/// ends, and prints the table of all that were asked for. Interrupted, it loses the run at hand.
void run_sweep(const sweep_lists& sweep);

}  // namespace trainer
