// gnuplot as a child process that draws.
#pragma once

#include <string>

namespace trainer {

/// Throws user_error unless gnuplot can be run.
void require_gnuplot();

/// Runs a script. Throws std::runtime_error if gnuplot finds fault with it.
void run_gnuplot(const std::string& script);

}  // namespace trainer
