// Operators of the CPU backend. Each group has its own translation unit, so that they compile in
// parallel.
#pragma once

#include "support/operators/registry.hpp"

namespace conformance {

template <class T>
void add_cpu_augmentations(registry& operators);
template <class T>
void add_cpu_queue(registry& operators);
template <class T>
void add_cpu_losses(registry& operators);
template <class T>
void add_cpu_step(registry& operators);
template <class T>
void add_cpu_diagnostics(registry& operators);

template <class T>
registry cpu_operators() {
  registry operators;
  add_cpu_augmentations<T>(operators);
  add_cpu_queue<T>(operators);
  add_cpu_losses<T>(operators);
  add_cpu_step<T>(operators);
  add_cpu_diagnostics<T>(operators);
  return operators;
}

}  // namespace conformance
