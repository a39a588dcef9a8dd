#include "feaug/cuda/augment/pseudo_neighbour.cuh"
#include "feaug/cuda/queue/nearest.cuh"
#include "feaug/cuda/queue/support_queue.cuh"

// Must follow the headers of the functions that these templates call: names are looked up here.
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
