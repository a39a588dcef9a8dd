// The results as a shared library, whose flags may differ from its neighbours' in one process.
#include <cstdio>

#include "results.hpp"

extern "C" __attribute__((visibility("default"))) void print_results() {
  std::fputs(results().c_str(), stdout);
}
