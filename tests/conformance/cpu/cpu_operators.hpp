// The operators that the CPU library has.
#pragma once

#include "../registry.hpp"

namespace conformance {

namespace cpu {
template <class T>
void add_augmentations(registry& operators);
template <class T>
void add_queue(registry& operators);
template <class T>
void add_losses(registry& operators);
template <class T>
void add_step(registry& operators);
}  // namespace cpu

template <class T>
registry cpu_operators() {
  registry operators;
  cpu::add_augmentations<T>(operators);
  cpu::add_queue<T>(operators);
  cpu::add_losses<T>(operators);
  cpu::add_step<T>(operators);
  return operators;
}

}  // namespace conformance
