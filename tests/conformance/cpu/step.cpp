#include "operators/step.hpp"

#include "cpu/cpu_backend.hpp"
#include "cpu/cpu_operators.hpp"
#include "operators/momentum.hpp"

namespace conformance {

template <class T>
void add_cpu_step(registry& operators) {
  add_step<cpu_backend, T>(operators);
  add_momentum<cpu_backend, T>(operators);
}

template void add_cpu_step<double>(registry&);
template void add_cpu_step<float>(registry&);

}  // namespace conformance
