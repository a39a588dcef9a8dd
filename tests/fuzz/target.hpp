// What a fuzz target defines, and what it may use.
#pragma once

#include <string>

#include "fuzz/choices.hpp"

namespace fuzz {

/// Defined by each target: does once what the input chooses, and checks the outcome. It must behave
/// equally whenever it gets the same input.
void try_one(choices& choose);

/// Reports a finding and aborts the program, so that libFuzzer keeps the input.
[[noreturn]] void report(const std::string& finding);

inline void require(bool holds, const std::string& finding) {
  if (!holds) report(finding);
}

/// Describes the call that is checked, for a report.
std::string& call();

/// An empty folder of this process. It is removed when the process ends.
const std::string& scratch_folder();

/// The input's name in reports. A driver sets it; libFuzzer has names of its own.
std::string& input_name();

}  // namespace fuzz
