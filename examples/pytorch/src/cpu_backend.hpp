// CPU backend: one context per calling thread.
#pragma once

#include <feaug/cpu/core/context.hpp>

#include "kernels.hpp"

namespace feaug_torch {

using context = feaug::cpu_context;

/// Runs body(context) with PyTorch's number of threads.
template <class Body>
void lend_context(const caller& from, const Body& body) {
  thread_local context own;
  own.threads = from.threads;
  body(own);
}

}  // namespace feaug_torch
