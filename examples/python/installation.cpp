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
  switch (feaug::best_instruction_set()) {
    case feaug::instruction_set::portable:
      return "portable";
    case feaug::instruction_set::avx2:
      return "AVX2";
    case feaug::instruction_set::avx512:
      return "AVX-512";
    case feaug::instruction_set::avx512_bf16:
      return "AVX-512 with bfloat16";
    case feaug::instruction_set::amx:
      return "AMX";
  }
  return "unknown";
}

}  // namespace feaug_python
