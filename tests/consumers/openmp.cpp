// Test of a user's program compiled with OpenMP: results must have the same bits for any number of
// OpenMP threads and of feaug threads, and feaug must not change the user's OpenMP thread count.
#include <omp.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <feaug/feaug.hpp>
#include <vector>

namespace {

using feaug::index_t;
using feaug::matrix_view;

constexpr index_t rows = 128;
constexpr index_t cols = 1024;

std::vector<float> numbers(double step) {
  std::vector<float> all;
  for (index_t i = 0; i < rows * cols; ++i)
    all.push_back(static_cast<float>(std::sin(step * static_cast<double>(i))));
  return all;
}

/// The gradients of info_nce with respect to both inputs.
std::vector<float> gradients(int threads) {
  const std::vector<float> a = numbers(1.7);
  const std::vector<float> b = numbers(0.9);
  std::vector<float> both(2 * a.size());
  feaug::cpu_context ctx{.threads = threads};
  const matrix_view<float> d_a(both.data(), rows, cols);
  const matrix_view<float> d_b(both.data() + a.size(), rows, cols);
  feaug::info_nce_with_gradients(
      ctx, feaug::differentiable(matrix_view<const float>(a.data(), rows, cols), d_a),
      feaug::differentiable(matrix_view<const float>(b.data(), rows, cols), d_b));
  return both;
}

}  // namespace

int main() {
  omp_set_num_threads(1);
  const std::vector<float> want = gradients(1);
  for (const int of_openmp : {1, 2, 4}) {
    omp_set_num_threads(of_openmp);
    for (const int threads : {1, 2}) {
      const std::vector<float> got = gradients(threads);
      if (std::memcmp(got.data(), want.data(), got.size() * sizeof(float)) != 0) {
        std::printf("other bits with %d threads of OpenMP and %d of feaug\n", of_openmp, threads);
        return 1;
      }
      if (omp_get_max_threads() != of_openmp) {
        std::printf("OpenMP had %d threads, now it has %d\n", of_openmp, omp_get_max_threads());
        return 1;
      }
    }
  }
  return 0;
}
