// The backends of this program. To add one, add a folder like cpu/ and a line in backends.cpp.
#pragma once

#include <string>
#include <vector>

#include "support/operators/registry.hpp"

namespace conformance {

enum class dtype { float64, float32 };

inline const char* name_of(dtype type) { return type == dtype::float64 ? "float64" : "float32"; }

/// The names that --backend accepts.
std::vector<std::string> backend_names();

/// What the machine lacks to run a backend; empty if nothing.
std::string missing_for(const std::string& backend);

/// The operators of the backend with this name.
registry operators_of(const std::string& backend, dtype type);

}  // namespace conformance
