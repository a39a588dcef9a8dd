// Checks the indices of a nearest-neighbour search.
#pragma once

#include <string>

#include "backends.hpp"
#include "support/operators/test_case.hpp"

namespace conformance {

/// Returns an error message, which is empty if `got` (N × k, the shape of `want`) is right for the
/// case.
///
/// In float64, indices must be equal. In float32, rounding the inputs can swap nearly equal
/// neighbours: another index is also right if the float64 similarities of both candidates differ by
/// less than 1e-6, and no row occurs twice.
std::string wrong_indices(const test_case& one, const tensor& got, const tensor& want, dtype type);

}  // namespace conformance
