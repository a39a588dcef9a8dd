// Products of matrices, in which tests of kernels spend most of their time without optimisation
// (feaug_link_first in tests/CMakeLists.txt).
#include "feaug/cuda/core/products.cuh"

template __global__ void feaug::cuda::product_kernel<float>(feaug::cuda::product<float>,
                                                            feaug::product_precision);
template __global__ void feaug::cuda::product_kernel<double>(feaug::cuda::product<double>,
                                                             feaug::product_precision);
