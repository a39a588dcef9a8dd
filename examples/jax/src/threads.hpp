// How many threads an operator may use on the CPU.
#pragma once

#include <atomic>

namespace feaug_jax {

/// 0: as many as the machine has. Read at the beginning of every call; no result depends on it.
inline std::atomic<int> threads{0};

}  // namespace feaug_jax
