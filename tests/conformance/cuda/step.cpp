// Registers step and momentum_update on CUDA for the conformance runner.
#include "feaug/cuda/step/step.cuh"

#include "feaug/cuda/augment/elementwise.cuh"
#include "feaug/cuda/augment/mask.cuh"
#include "feaug/cuda/augment/neighbour.cuh"
#include "feaug/cuda/step/momentum_update.cuh"

// Last, because these templates call functions that the headers above declare.
#include "cuda/cuda_operators.hpp"
#include "operators/momentum.hpp"
#include "operators/step.hpp"
#include "support/operators/cuda_backend.hpp"

namespace conformance {

template <class T>
void add_cuda_step(registry& operators) {
  add_step<cuda_backend, T>(operators);
  add_momentum<cuda_backend, T>(operators);
}

template void add_cuda_step<double>(registry&);
template void add_cuda_step<float>(registry&);

}  // namespace conformance
