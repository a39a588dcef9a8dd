#include "operators/losses.hpp"

#include "cpu/cpu_backend.hpp"
#include "cpu/cpu_operators.hpp"

namespace conformance {

template <class T>
void add_cpu_losses(registry& operators) {
  add_losses<cpu_backend, T>(operators);
}

template void add_cpu_losses<double>(registry&);
template void add_cpu_losses<float>(registry&);

}  // namespace conformance
