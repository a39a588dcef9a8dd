// feaug_conformance [--backend NAME] [--dtype float64|float32] FILE…
#pragma once

#include <string>
#include <vector>

#include "backends.hpp"

namespace conformance {

struct command_line {
  std::string backend = "cpu";
  dtype type = dtype::float64;
  bool help = false;
  std::vector<std::string> files;
};

std::string usage();

/// Throws std::invalid_argument with a message for the user.
command_line read_command_line(const std::vector<std::string>& words);

}  // namespace conformance
