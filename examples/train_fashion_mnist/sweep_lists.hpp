// The command line of a sweep: every option can have several values, and every combination is a
// run.
#pragma once

#include <string>
#include <vector>

#include "settings.hpp"

namespace trainer {

struct sweep_lists {
  std::string file;                   ///< the results file given to --sweep
  std::vector<settings> runs;         ///< the last list varies fastest
  std::vector<std::string> names;     ///< option names as written, for example "method"
  std::vector<std::string> left_out;  ///< reasons for skipped combinations
};

/// Whether the command line asks for a sweep.
bool is_sweep(int count, char** words);

/// Throws user_error for everything that read_settings refuses in a combination, except
/// meaningless_combination: those combinations are skipped.
sweep_lists read_sweep(int count, char** words);

}  // namespace trainer
