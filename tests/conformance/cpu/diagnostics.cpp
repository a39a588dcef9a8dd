#include "feaug/cpu/diagnostics/alignment.hpp"
#include "feaug/cpu/diagnostics/feature_deviation.hpp"
#include "feaug/cpu/diagnostics/neighbour_share.hpp"
#include "feaug/cpu/diagnostics/uniformity.hpp"

// Must follow the headers of the functions that these templates call: names are looked up here.
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
