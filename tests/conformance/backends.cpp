#include "backends.hpp"

#include <map>

#include "cpu/cpu_operators.hpp"
#include "cuda/cuda_operators.hpp"

namespace conformance {
namespace {

struct backend {
  registry (*float64)();
  registry (*float32)();
  std::string (*missing)();
};

std::string nothing_missing() { return {}; }
std::string missing_device() { return has_cuda_device() ? "" : "no CUDA device"; }

const std::map<std::string, backend>& backends() {
  static const std::map<std::string, backend> all = {
      {"cpu",
       {.float64 = cpu_operators<double>,
        .float32 = cpu_operators<float>,
        .missing = nothing_missing}},
      // "cuda" or "simt", depending on how the backend on cuda_context was compiled.
      {FEAUG_DEVICE_BACKEND,
       {.float64 = cuda_operators<double>,
        .float32 = cuda_operators<float>,
        .missing = missing_device}},
  };
  return all;
}

}  // namespace

std::vector<std::string> backend_names() {
  std::vector<std::string> names;
  for (const auto& [name, functions] : backends()) names.push_back(name);
  return names;
}

std::string missing_for(const std::string& backend) { return backends().at(backend).missing(); }

registry operators_of(const std::string& backend, dtype type) {
  const auto& found = backends().at(backend);
  return type == dtype::float64 ? found.float64() : found.float32();
}

}  // namespace conformance
