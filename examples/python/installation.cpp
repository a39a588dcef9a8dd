// What `python -m feaug_torch` and `python -m feaug_jax` report of the compiled library.
#include <feaug/cpu/core/instruction_set.hpp>
#include <feaug/version.hpp>
#include <string>

#include "kernels.hpp"

namespace feaug_python {

std::string version() {
  return std::to_string(FEAUG_VERSION_MAJOR) + "." + std::to_string(FEAUG_VERSION_MINOR) + "." +
         std::to_string(FEAUG_VERSION_PATCH);
}

std::string instructions() {
  constexpr const char* names[] = {"portable", "AVX2", "AVX-512"};
  return names[static_cast<int>(feaug::best_instruction_set())];
}

}  // namespace feaug_python
