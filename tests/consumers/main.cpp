// Test of a user's program: InfoNCE of two pairs, whose loss is log(1 + exp(−1/τ)), and its
// gradient.
#include <cmath>
#include <cstdio>
#include <feaug/feaug.hpp>
#include <vector>

int main() {
  std::vector<float> queries = {1, 0, 0, 1};
  std::vector<float> query_gradients(queries.size());
  const feaug::matrix_view<float> z(queries.data(), 2, 2);
  const feaug::matrix_view<float> dz(query_gradients.data(), 2, 2);

  feaug::cpu_context ctx{.threads = 1};
  const double loss = feaug::info_nce_with_gradients(ctx, feaug::differentiable(z, dz),
                                                     feaug::stop_gradient(z), {.temperature = 0.5});
  std::printf("loss %.6f\n", loss);
  return std::abs(loss - std::log1p(std::exp(-2.0))) < 1e-6 ? 0 : 1;
}
