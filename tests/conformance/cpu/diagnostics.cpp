// Registers every diagnostic on the CPU for the conformance runner.
#include "feaug/cpu/diagnostics/alignment.hpp"
#include "feaug/cpu/diagnostics/feature_deviation.hpp"
#include "feaug/cpu/diagnostics/neighbour_share.hpp"
#include "feaug/cpu/diagnostics/uniformity.hpp"

// Last, because these templates call functions that the headers above declare.
#include "cpu/cpu_operators.hpp"
#include "operators/diagnostics.hpp"
#include "support/operators/cpu_backend.hpp"

namespace conformance {

template <class T>
void add_cpu_diagnostics(registry& operators) {
  add_diagnostics<cpu_backend, T>(operators);
}

template void add_cpu_diagnostics<double>(registry&);
template void add_cpu_diagnostics<float>(registry&);

}  // namespace conformance
