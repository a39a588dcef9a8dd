// Registers every augmentation on the CPU for the conformance runner.
#include "feaug/cpu/augment/adversarial.hpp"
#include "feaug/cpu/augment/covariance_noise.hpp"
#include "feaug/cpu/augment/l2_normalize.hpp"
#include "feaug/cpu/augment/latent_noise.hpp"
#include "feaug/cpu/augment/mask.hpp"
#include "feaug/cpu/augment/mix.hpp"
#include "feaug/cpu/augment/row_mix.hpp"
#include "feaug/cpu/augment/soft_neighbour.hpp"

// Last, because these templates call functions that the headers above declare.
#include "cpu/cpu_operators.hpp"
#include "operators/augmentations.hpp"
#include "support/operators/cpu_backend.hpp"

namespace conformance {

template <class T>
void add_cpu_augmentations(registry& operators) {
  add_augmentations<cpu_backend, T>(operators);
}

template void add_cpu_augmentations<double>(registry&);
template void add_cpu_augmentations<float>(registry&);

}  // namespace conformance
