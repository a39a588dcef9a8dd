// Draws and exact sums, for check_ptx.py: their instructions must not depend on nvcc's flags.
#include "feaug/core/exact_dot.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/random_beta.hpp"
#include "feaug/core/random_normal.hpp"

__global__ void draws_kernel(feaug::random_key key, float a, float b, float* out) {
  const auto row = static_cast<feaug::index_t>(threadIdx.x);
  out[3 * row] = feaug::draw_uniform(key, row, 0);
  out[3 * row + 1] = feaug::draw_normal(key, row, 1);
  out[3 * row + 2] = feaug::draw_beta(key, row, a, b);
}

template <class T>
__global__ void sums_kernel(const T* x, feaug::index_t cols, double* out) {
  out[0] = feaug::row_norm(x, cols);
  double dot = 0;
  for (feaug::index_t j = 0; j < cols; ++j) dot = feaug::exact_multiply_add(dot, x[j], x[cols + j]);
  out[1] = dot;
}
template __global__ void sums_kernel<float>(const float*, feaug::index_t, double*);
template __global__ void sums_kernel<double>(const double*, feaug::index_t, double*);
template __global__ void sums_kernel<feaug::half>(const feaug::half*, feaug::index_t, double*);
template __global__ void sums_kernel<feaug::bfloat16>(const feaug::bfloat16*, feaug::index_t,
                                                      double*);
