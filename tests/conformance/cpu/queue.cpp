// Registers enqueue, nearest and the neighbour augmentations on the CPU for the conformance runner.
#include "feaug/cpu/augment/pseudo_neighbour.hpp"
#include "feaug/cpu/queue/nearest.hpp"
#include "feaug/cpu/queue/support_queue.hpp"

// Last, because these templates call functions that the headers above declare.
#include "cpu/cpu_operators.hpp"
#include "operators/neighbours.hpp"
#include "operators/queue.hpp"
#include "support/operators/cpu_backend.hpp"

namespace conformance {

template <class T>
void add_cpu_queue(registry& operators) {
  add_queue<cpu_backend, T>(operators);
  add_neighbours<cpu_backend, T>(operators);
}

template void add_cpu_queue<double>(registry&);
template void add_cpu_queue<float>(registry&);

}  // namespace conformance
