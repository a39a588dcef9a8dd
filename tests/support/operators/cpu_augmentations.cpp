// Instantiates the CPU's table of augmentations for four types.
#include <vector>

#include "feaug/core/element.hpp"
#include "feaug/cpu/augment/adversarial.hpp"
#include "feaug/cpu/augment/covariance_noise.hpp"
#include "feaug/cpu/augment/elementwise.hpp"
#include "feaug/cpu/augment/l2_normalize.hpp"
#include "feaug/cpu/augment/latent_noise.hpp"
#include "feaug/cpu/augment/mask.hpp"
#include "feaug/cpu/augment/mix.hpp"
#include "feaug/cpu/augment/noise.hpp"
#include "feaug/cpu/augment/pseudo_neighbour.hpp"
#include "feaug/cpu/augment/row_mix.hpp"
#include "feaug/cpu/augment/soft_neighbour.hpp"

// Last, because these templates call functions that the headers above declare.
#include "support/augmentation_case.hpp"
#include "support/augmentation_cases.hpp"
#include "support/operators/cpu_backend.hpp"

namespace testing {

template <class T>
std::vector<augmentation_case> cpu_augmentations() {
  return augmentation_table<conformance::cpu_backend, T>().rows;
}

template std::vector<augmentation_case> cpu_augmentations<double>();
template std::vector<augmentation_case> cpu_augmentations<float>();
template std::vector<augmentation_case> cpu_augmentations<feaug::half>();
template std::vector<augmentation_case> cpu_augmentations<feaug::bfloat16>();

}  // namespace testing
