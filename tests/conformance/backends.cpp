#include "backends.hpp"

#include <map>

#include "cpu/cpu_operators.hpp"

namespace conformance {
namespace {

struct backend {
  registry (*float64)();
  registry (*float32)();
};

const std::map<std::string, backend>& backends() {
  static const std::map<std::string, backend> all = {
      {"cpu", {.float64 = cpu_operators<double>, .float32 = cpu_operators<float>}},
  };
  return all;
}

}  // namespace

std::vector<std::string> backend_names() {
  std::vector<std::string> names;
  for (const auto& [name, functions] : backends()) names.push_back(name);
  return names;
}

registry operators_of(const std::string& backend, dtype type) {
  const auto& found = backends().at(backend);
  return type == dtype::float64 ? found.float64() : found.float32();
}

}  // namespace conformance
