#include "feaug/cpu/augment/pseudo_neighbour.hpp"
#include "feaug/cpu/queue/nearest.hpp"
#include "feaug/cpu/queue/support_queue.hpp"

// Must follow the headers of the functions that these templates call: names are looked up here.
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
