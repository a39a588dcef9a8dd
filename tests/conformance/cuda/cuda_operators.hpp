// Operators of the backend on cuda_context. Each group has its own translation unit, so that they
// compile in parallel.
#pragma once

#include "support/operators/registry.hpp"

namespace conformance {

/// True if there is a device to run on.
bool has_cuda_device();

template <class T>
void add_cuda_augmentations(registry& operators);
template <class T>
void add_cuda_queue(registry& operators);
template <class T>
void add_cuda_losses(registry& operators);
template <class T>
void add_cuda_step(registry& operators);
template <class T>
void add_cuda_diagnostics(registry& operators);

template <class T>
registry cuda_operators() {
  registry operators;
  add_cuda_augmentations<T>(operators);
  add_cuda_queue<T>(operators);
  add_cuda_losses<T>(operators);
  add_cuda_step<T>(operators);
  add_cuda_diagnostics<T>(operators);
  return operators;
}

}  // namespace conformance
