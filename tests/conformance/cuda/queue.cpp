// Registers enqueue, nearest and the neighbour augmentations on CUDA for the conformance runner.
#include "feaug/cuda/augment/pseudo_neighbour.cuh"
#include "feaug/cuda/queue/nearest.cuh"
#include "feaug/cuda/queue/support_queue.cuh"

// Last, because these templates call functions that the headers above declare.
#include "cuda/cuda_operators.hpp"
#include "operators/neighbours.hpp"
#include "operators/queue.hpp"
#include "support/operators/cuda_backend.hpp"

namespace conformance {

template <class T>
void add_cuda_queue(registry& operators) {
  add_queue<cuda_backend, T>(operators);
  add_neighbours<cuda_backend, T>(operators);
}

template void add_cuda_queue<double>(registry&);
template void add_cuda_queue<float>(registry&);

}  // namespace conformance
