// GPU losses by name, for the tests of agreement with the CPU and of error messages. One
// translation unit instantiates them, once per type.
#pragma once

#include "support/operators/refusals.hpp"
#include "support/operators/registry.hpp"

namespace agreement_test {

/// Runs every function of a loss and returns all its outputs.
template <class T>
conformance::registry cuda_losses();

/// Returns the error messages of a loss's functions for an invalid argument.
conformance::refusal_registry refusing_cuda_losses();

}  // namespace agreement_test
