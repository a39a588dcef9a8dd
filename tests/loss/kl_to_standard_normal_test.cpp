// kl_to_standard_normal: formula, edge cases, invalid arguments.
#include "feaug/cpu/loss/kl_to_standard_normal.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "loss/formula.hpp"
#include "support/test_matrix.hpp"

namespace kl_to_standard_normal_test {

using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::reduce;
using feaug::stop_gradient;
using testing::test_matrix;

namespace {

const double not_a_number = std::numeric_limits<double>::quiet_NaN();

const testing::registered_formula formula("kl_to_standard_normal", {"mean", "log_variance"},
                                          []<class S>(const testing::formula_inputs<S>& in) {
                                            using std::exp;
                                            const auto mean = in.matrix("mean");
                                            const auto logs = in.matrix("log_variance");
                                            std::vector<S> losses;
                                            for (index_t i = 0; i < mean.size(); ++i) {
                                              S sum = mean[i][0] * 0.0;
                                              for (std::size_t j = 0; j < mean[i].size(); ++j)
                                                sum += (mean[i][j] * mean[i][j] + exp(logs[i][j]) -
                                                        1.0 - logs[i][j]) *
                                                       0.5;
                                              losses.push_back(sum);
                                            }
                                            return losses;
                                          });

}  // namespace

TEST_CASE("kl_to_standard_normal: edge cases", "[kl]") {
  cpu_context ctx{.threads = 1};
  // The prior itself, and values so near to it that exp(v) − 1 − v cancels.
  test_matrix<double> mean(1, 1);
  test_matrix<double> logs(1, 1);
  CHECK(feaug::kl_to_standard_normal(ctx, mean.view(), logs.view()) == 0.0);
  logs.set(0, 0, 1e-6);
  CHECK(feaug::kl_to_standard_normal(ctx, mean.view(), logs.view()) ==
        Approx(0.25e-12).epsilon(1e-3));
  logs.set(0, 0, 800.0);
  CHECK(std::isinf(feaug::kl_to_standard_normal(ctx, mean.view(), logs.view())));

  auto x = test_matrix<float>::normal(3, 4, 1);
  const auto y = test_matrix<float>::normal(3, 4, 2);
  x.set(1, 2, not_a_number);
  std::vector<float> losses(3);
  test_matrix<float> dx(3, 4);
  feaug::kl_to_standard_normal_with_gradients(ctx, differentiable(x.view(), dx.view()),
                                              stop_gradient(y.view()), {losses.data(), 3},
                                              {.reduction = reduce::none});
  CHECK((std::isfinite(losses[0]) && std::isnan(losses[1]) && std::isfinite(losses[2])));
  CHECK((std::isfinite(dx.get(0, 2)) && std::isnan(dx.get(1, 2)) && std::isfinite(dx.get(2, 2))));
}

}  // namespace kl_to_standard_normal_test
