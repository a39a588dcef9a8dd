// The backends that this program was built with. A new one is a folder like cpu/ and a line in
// backends.cpp.
#pragma once

#include <string>
#include <vector>

#include "support/operators/registry.hpp"

namespace conformance {

enum class dtype { float64, float32 };

inline const char* name_of(dtype type) { return type == dtype::float64 ? "float64" : "float32"; }

/// The names that --backend takes.
std::vector<std::string> backend_names();

/// What this machine lacks to run a backend; empty: nothing.
std::string missing_for(const std::string& backend);

/// The operators of a backend, by one of those names.
registry operators_of(const std::string& backend, dtype type);

}  // namespace conformance
