// The losses of each backend, by name, for the tests of their agreement. Each backend has a
// translation unit of its own, which instantiates them once a type.
#pragma once

#include "support/operators/registry.hpp"

namespace agreement_test {

/// Everything that each loss writes, by all its verbs.
template <class T>
conformance::registry cpu_losses();
template <class T>
conformance::registry cuda_losses();

}  // namespace agreement_test
