// Runs gnuplot as a child process.
#pragma once

#include <string>

namespace trainer {

/// Throws user_error unless gnuplot can be run.
void require_gnuplot();

/// Runs a script. Throws std::runtime_error if gnuplot fails.
void run_gnuplot(const std::string& script);

}  // namespace trainer
