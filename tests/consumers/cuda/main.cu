// The smallest program that uses feaug on a GPU.
#include <cmath>
#include <cstdio>
#include <feaug/feaug.cuh>
#include <vector>

#include "rows.hpp"

int main() {
  // Units with and without cuBLAS have contexts of different types, and share views.
  if (context_with_cublas() == typeid(feaug::cuda_context) || count_rows({nullptr, 2, 3, 3}) != 2) {
    std::puts("wrong: units of the program disagree about types");
    return 1;
  }
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) {
    std::puts("skipped: no CUDA device");
    return 0;
  }
  // Two pairs of unit vectors at right angles: the loss is log(1 + exp(-1 / 0.5)).
  const std::vector<float> host = {1, 0, 0, 1};
  float* z = nullptr;
  float* loss = nullptr;
  cudaMalloc(&z, host.size() * sizeof(float));
  cudaMalloc(&loss, sizeof(float));
  cudaMemcpy(z, host.data(), host.size() * sizeof(float), cudaMemcpyHostToDevice);
  feaug::cuda_context ctx;
  const feaug::device_matrix<const float> views(z, 2, 2);
  feaug::info_nce(ctx, views, views, feaug::device_vector<float>(loss, 1), {.temperature = 0.5});
  float result = 0;
  cudaMemcpy(&result, loss, sizeof result, cudaMemcpyDeviceToHost);
  const bool right = std::fabs(result - std::log1p(std::exp(-2.0F))) < 1e-5F;
  std::printf("loss %f: %s\n", static_cast<double>(result), right ? "right" : "wrong");
  cudaFree(z);
  cudaFree(loss);
  return right ? 0 : 1;
}
