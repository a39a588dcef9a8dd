#include "operators/diagnostics.hpp"

#include "cpu/cpu_backend.hpp"
#include "cpu/cpu_operators.hpp"

namespace conformance {

template <class T>
void add_cpu_diagnostics(registry& operators) {
  add_diagnostics<cpu_backend, T>(operators);
}

template void add_cpu_diagnostics<double>(registry&);
template void add_cpu_diagnostics<float>(registry&);

}  // namespace conformance
