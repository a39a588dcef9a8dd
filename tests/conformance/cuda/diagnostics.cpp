// Registers every diagnostic on CUDA for the conformance runner.
#include "feaug/cuda/diagnostics/alignment.cuh"
#include "feaug/cuda/diagnostics/feature_deviation.cuh"
#include "feaug/cuda/diagnostics/neighbour_share.cuh"
#include "feaug/cuda/diagnostics/uniformity.cuh"

// Last, because these templates call functions that the headers above declare.
#include "cuda/cuda_operators.hpp"
#include "operators/diagnostics.hpp"
#include "support/operators/cuda_backend.hpp"

namespace conformance {

template <class T>
void add_cuda_diagnostics(registry& operators) {
  add_diagnostics<cuda_backend, T>(operators);
}

template void add_cuda_diagnostics<double>(registry&);
template void add_cuda_diagnostics<float>(registry&);

}  // namespace conformance
