// The number of threads of an operator on the CPU.
#pragma once

#include <atomic>

namespace feaug_jax {

/// 0: as many as the machine has. Read at the start of every call; results do not depend on it.
inline std::atomic<int> threads{0};

}  // namespace feaug_jax
