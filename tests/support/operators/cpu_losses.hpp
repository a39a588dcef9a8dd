// CPU losses by name. One translation unit instantiates them, once per type.
#pragma once

#include "support/operators/refusals.hpp"
#include "support/operators/registry.hpp"

namespace conformance {

/// Runs every function of a loss and returns all its outputs.
template <class T>
registry cpu_losses();

/// Calls every function of a loss with an invalid argument, on float.
refusal_registry cpu_loss_refusals();

}  // namespace conformance
