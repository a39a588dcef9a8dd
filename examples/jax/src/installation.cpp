// Functions of the library for CPUs that Python calls by ctypes.
#include <string>

#include "kernels.hpp"
#include "loss_signature.hpp"
#include "resources.hpp"

#define FEAUG_JAX_EXPORT extern "C" __attribute__((visibility("default")))

FEAUG_JAX_EXPORT void feaug_jax_set_threads(int count) { feaug_jax::threads = count; }

FEAUG_JAX_EXPORT const char* feaug_jax_loss_table() {
  static const std::string table = feaug_python::loss_table();
  return table.c_str();
}

FEAUG_JAX_EXPORT const char* feaug_jax_version() {
  static const std::string version = feaug_python::version();
  return version.c_str();
}

FEAUG_JAX_EXPORT const char* feaug_jax_instructions() {
  static const std::string instructions = feaug_python::instructions();
  return instructions.c_str();
}
