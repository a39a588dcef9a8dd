#include "threads.hpp"

extern "C" __attribute__((visibility("default"))) void feaug_jax_set_threads(int count) {
  feaug_jax::threads = count;
}
