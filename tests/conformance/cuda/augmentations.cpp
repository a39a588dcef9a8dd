// Registers every augmentation on CUDA for the conformance runner.
#include "feaug/cuda/augment/adversarial.cuh"
#include "feaug/cuda/augment/covariance_noise.cuh"
#include "feaug/cuda/augment/l2_normalize.cuh"
#include "feaug/cuda/augment/latent_noise.cuh"
#include "feaug/cuda/augment/mask.cuh"
#include "feaug/cuda/augment/mix.cuh"
#include "feaug/cuda/augment/row_mix.cuh"
#include "feaug/cuda/augment/soft_neighbour.cuh"

// Last, because these templates call functions that the headers above declare.
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
