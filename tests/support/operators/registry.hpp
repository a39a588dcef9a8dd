// The function that runs a case of an operator, by the operator's name.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "support/operators/arguments.hpp"
#include "support/operators/results.hpp"

namespace conformance {

/// Throws (anything derived from std::exception) if the case has something that the operator does
/// not support.
using run_function = std::function<results(arguments&)>;

/// The operators of one backend for one dtype.
using registry = std::map<std::string, run_function>;

}  // namespace conformance
