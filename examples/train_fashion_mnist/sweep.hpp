// Runs a sweep and prints its table.
#pragma once

#include "sweep_lists.hpp"

namespace trainer {

/// Executes the runs whose results are not yet in the sweep's file, appends each result when its
/// run ends, and prints the table of all requested runs. An interruption loses only the current
/// run.
void run_sweep(const sweep_lists& sweep);

}  // namespace trainer
