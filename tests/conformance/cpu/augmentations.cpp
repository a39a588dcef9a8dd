#include "operators/augmentations.hpp"

#include "cpu/cpu_backend.hpp"
#include "cpu/cpu_operators.hpp"

namespace conformance {

template <class T>
void add_cpu_augmentations(registry& operators) {
  add_augmentations<cpu_backend, T>(operators);
}

template void add_cpu_augmentations<double>(registry&);
template void add_cpu_augmentations<float>(registry&);

}  // namespace conformance
