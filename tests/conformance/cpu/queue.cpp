#include "operators/queue.hpp"

#include "cpu/cpu_backend.hpp"
#include "cpu/cpu_operators.hpp"
#include "operators/neighbours.hpp"

namespace conformance {

template <class T>
void add_cpu_queue(registry& operators) {
  add_queue<cpu_backend, T>(operators);
  add_neighbours<cpu_backend, T>(operators);
}

template void add_cpu_queue<double>(registry&);
template void add_cpu_queue<float>(registry&);

}  // namespace conformance
