// From an operator's name to the function that runs a case of it.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "support/operators/arguments.hpp"
#include "support/operators/results.hpp"

namespace conformance {

/// Throws (anything derived from std::exception) where the case asks for what does not exist.
using run_function = std::function<results(arguments&)>;

/// The operators of one backend in one dtype.
using registry = std::map<std::string, run_function>;

}  // namespace conformance
