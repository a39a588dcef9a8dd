// The command line of a sweep: every option may have several values, and every combination is a
// run.
#pragma once

#include <string>
#include <vector>

#include "settings.hpp"

namespace trainer {

struct sweep_lists {
  std::string file;                   ///< of --sweep: where results are kept
  std::vector<settings> runs;         ///< the last list varies fastest
  std::vector<std::string> names;     ///< of the options, as they were written: "method"
  std::vector<std::string> left_out;  ///< why combinations that mean nothing are not among them
};

/// Whether the command line asks for a sweep.
bool is_sweep(int count, char** words);

/// Throws user_error for what read_settings would refuse in any of the combinations, but for a
/// meaningless_combination: those are left out.
sweep_lists read_sweep(int count, char** words);

}  // namespace trainer
