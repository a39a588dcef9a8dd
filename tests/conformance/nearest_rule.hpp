// When the indices of a nearest-neighbour search are right.
#pragma once

#include <string>

#include "backends.hpp"
#include "support/operators/test_case.hpp"

namespace conformance {

/// Empty if `got` (N × k, of the same shape as `want`) is right for the case, else what is wrong.
///
/// In float64 indices are equal. In float32 the inputs were rounded, which can exchange
/// near-equals: another index is right if the two candidates' float64 similarities differ by less
/// than 1e-6, and no row is named twice.
std::string wrong_indices(const test_case& one, const tensor& got, const tensor& want, dtype type);

}  // namespace conformance
