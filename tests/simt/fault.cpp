// `feaug_simt_fault NAME` runs a fault that only a sanitizer detects; tests expect its report.
#include <cstring>
#include <iostream>

#include "simt/planted_faults.hpp"

int main(int argc, char** argv) {
  const char* name = argc == 2 ? argv[1] : "";
  const struct {
    const char* name;
    void (*kernel)(float*);
  } faults[] = {
      {"none", simt_faults::right},
      {"race", simt_faults::race},
      {"shared_memory_overrun", simt_faults::shared_memory_overrun},
      {"device_memory_overrun", simt_faults::device_memory_overrun},
  };
  for (const auto& fault : faults) {
    if (std::strcmp(fault.name, name) != 0) continue;
    void* memory = nullptr;
    cudaMalloc(&memory, 64 * sizeof(float));
    simt::launch(nullptr, fault.kernel, 1, 64, 64 * sizeof(float), static_cast<float*>(memory));
    cudaFree(memory);
    std::cout << "nothing was noticed\n";
    return 0;
  }
  std::cerr << "usage: feaug_simt_fault none|race|shared_memory_overrun|device_memory_overrun\n";
  return 2;
}
