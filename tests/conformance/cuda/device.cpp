#include "cuda/cuda_operators.hpp"
#include "cuda/support/has_device.hpp"

bool conformance::has_cuda_device() { return device_test::has_device(); }
