// Catch2's main for tests that need a GPU.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
#include <cstdio>

#include "cuda/support/has_device.hpp"

int main(int count, char** words) {
  if (!device_test::has_device()) {
    std::puts("skipped: no CUDA device");
    return device_test::skipped;
  }
  return Catch::Session().run(count, words);
}
