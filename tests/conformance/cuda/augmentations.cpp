#include "feaug/cuda/augment/adversarial.cuh"
#include "feaug/cuda/augment/covariance_noise.cuh"
#include "feaug/cuda/augment/l2_normalize.cuh"
#include "feaug/cuda/augment/latent_noise.cuh"
#include "feaug/cuda/augment/mask.cuh"
#include "feaug/cuda/augment/mix.cuh"
#include "feaug/cuda/augment/row_mix.cuh"
#include "feaug/cuda/augment/soft_neighbour.cuh"

// Must follow the headers of the functions that these templates call: names are looked up here.
#include "cuda/cuda_operators.hpp"
#include "operators/augmentations.hpp"
#include "support/operators/cuda_backend.hpp"

namespace conformance {

template <class T>
void add_cuda_augmentations(registry& operators) {
  add_augmentations<cuda_backend, T>(operators);
}

template void add_cuda_augmentations<double>(registry&);
template void add_cuda_augmentations<float>(registry&);

}  // namespace conformance
