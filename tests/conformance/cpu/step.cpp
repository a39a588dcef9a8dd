// Registers step and momentum_update on the CPU for the conformance runner.
#include "feaug/cpu/step/step.hpp"

#include "feaug/cpu/augment/elementwise.hpp"
#include "feaug/cpu/augment/mask.hpp"
#include "feaug/cpu/augment/neighbour.hpp"
#include "feaug/cpu/step/momentum_update.hpp"

// Last, because these templates call functions that the headers above declare.
#include "cpu/cpu_operators.hpp"
#include "operators/momentum.hpp"
#include "operators/step.hpp"
#include "support/operators/cpu_backend.hpp"

namespace conformance {

template <class T>
void add_cpu_step(registry& operators) {
  add_step<cpu_backend, T>(operators);
  add_momentum<cpu_backend, T>(operators);
}

template void add_cpu_step<double>(registry&);
template void add_cpu_step<float>(registry&);

}  // namespace conformance
