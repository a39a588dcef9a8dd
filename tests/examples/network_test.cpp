// The example's network: gradients compared with central differences in double, and training.
#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <vector>

#include "network/adamw.hpp"
#include "network/encoder.hpp"
#include "network/mlp.hpp"
#include "network/momentum.hpp"

namespace network_test {

using network::matrix;
using network::mode;

namespace {

/// Central differences of Σ weights ⊙ forward() with respect to some entries of every parameter,
/// compared with the gradients that backward() computes.
void check_parameters(const network::state<double>& all,
                      const std::function<matrix<double>()>& forward,
                      const std::function<void(const matrix<double>&)>& backward) {
  const matrix<double> first = forward();
  const matrix<double> weights = matrix<double>::Random(first.rows(), first.cols());
  all.zero_gradients();
  backward(weights);
  for (const auto& [name, p] : all.parameters) {
    CAPTURE(name);
    for (network::index at : {network::index{0}, p->value.size() / 2, p->value.size() - 1}) {
      double& entry = p->value.data()[at];
      const double before = entry;
      entry = before + 1e-5;
      const double above = forward().cwiseProduct(weights).sum();
      entry = before - 1e-5;
      const double below = forward().cwiseProduct(weights).sum();
      entry = before;
      CHECK(p->gradient.data()[at] == Approx((above - below) / 2e-5).epsilon(1e-4).margin(1e-6));
    }
  }
}

}  // namespace

TEST_CASE("the encoder's gradients match central differences", "[network]") {
  feaug::cpu_context ctx{.threads = 2};
  network::encoder<double> encoder({.seed = 1});
  network::state<double> all;
  encoder.collect(all, "encoder");
  std::srand(1);
  const matrix<double> images = matrix<double>::Random(11, 784);
  check_parameters(
      all, [&] { return encoder.forward(ctx, images, mode::train); },
      [&](const matrix<double>& gradient) { encoder.backward(ctx, gradient); });
}

TEST_CASE("the MLP's gradients match central differences, also with respect to the input",
          "[network]") {
  feaug::cpu_context ctx{.threads = 2};
  network::mlp<double> mlp(6, 10, 4, {.seed = 2});
  network::state<double> all;
  mlp.collect(all, "mlp");
  std::srand(2);
  matrix<double> x = matrix<double>::Random(9, 6);
  matrix<double> by_input;
  check_parameters(
      all, [&] { return mlp.forward(ctx, x, mode::train); },
      [&](const matrix<double>& gradient) { by_input = mlp.backward(ctx, gradient); });
  const matrix<double> weights = matrix<double>::Random(9, 4);
  mlp.forward(ctx, x, mode::train);
  by_input = mlp.backward(ctx, weights);
  x(3, 2) += 1e-5;
  const double above = mlp.forward(ctx, x, mode::train).cwiseProduct(weights).sum();
  x(3, 2) -= 2e-5;
  const double below = mlp.forward(ctx, x, mode::train).cwiseProduct(weights).sum();
  CHECK(by_input(3, 2) == Approx((above - below) / 2e-5).epsilon(1e-5));
}

TEST_CASE("evaluation uses running statistics, the momentum copy follows, AdamW descends",
          "[network]") {
  feaug::cpu_context ctx{.threads = 1};
  network::mlp<double> online(3, 5, 2, {.seed = 3});
  network::mlp<double> target(3, 5, 2, {.seed = 4});
  network::state<double> of_online;
  network::state<double> of_target;
  online.collect(of_online, "mlp");
  target.collect(of_target, "mlp");
  std::srand(3);
  const matrix<double> x = matrix<double>::Random(8, 3);
  for (int i = 0; i < 200; ++i) online.forward(ctx, x, mode::train);
  const matrix<double> trained = online.forward(ctx, x, mode::train);
  CHECK((online.forward(ctx, x, mode::evaluate) - trained).norm() < 0.2 * trained.norm());
  network::follow(of_target, of_online, 0.0);
  CHECK(target.forward(ctx, x, mode::evaluate) == online.forward(ctx, x, mode::evaluate));

  network::adamw<double> optimiser(of_online);
  const matrix<double> wanted = matrix<double>::Random(8, 2);
  double first = 0;
  double last = 0;
  for (int i = 0; i < 300; ++i) {
    of_online.zero_gradients();
    const matrix<double> error = online.forward(ctx, x, mode::train) - wanted;
    last = error.squaredNorm();
    if (i == 0) first = last;
    online.backward(ctx, 2.0 * error);
    optimiser.step({.learning_rate = 0.02});
  }
  CHECK(last < 0.1 * first);
}

}  // namespace network_test
