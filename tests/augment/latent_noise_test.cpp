// latent_noise compared with its formula in plain loops, its gradients with central differences;
// bounds, given draws, one_of, aliasing, edge cases, error messages.
#include "feaug/cpu/augment/latent_noise.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "feaug/augment/one_of.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace latent_noise_test {

using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::random_key;
using feaug::stop_gradient;
using testing::message_of;
using testing::test_matrix;

namespace {

constexpr random_key key{.seed = 11, .step = 5, .stream = 2, .row_offset = 3};
const double not_a_number = std::numeric_limits<double>::quiet_NaN();
const double infinity = std::numeric_limits<double>::infinity();

double clamped(double v, const feaug::latent_noise& how) {
  return std::min(std::max(v, static_cast<double>(how.least_log_variance)),
                  static_cast<double>(how.most_log_variance));
}

template <class T, class Policy>
std::vector<double> augmented(const Policy& policy, const test_matrix<T>& x,
                              const random_key& with = key) {
  cpu_context ctx{.threads = 1};
  test_matrix<T> out(x.rows(), x.cols(), 3);
  feaug::augment(ctx, policy, x.view(), with, out.view());
  CHECK(out.padding_intact());
  return out.values();
}

}  // namespace

TEMPLATE_TEST_CASE("latent_noise and its gradients agree with the formula", "[augment][latent]",
                   double, float, feaug::half, feaug::bfloat16) {
  using T = TestType;
  const feaug::latent_noise how =
      GENERATE(feaug::latent_noise{},
               feaug::latent_noise{.least_log_variance = -0.5F, .most_log_variance = 0.75F});
  const index_t rows = 7;
  const index_t cols = 9;
  const auto x = test_matrix<T>::normal(rows, cols, 1, 1);
  const auto logs = test_matrix<T>::normal(rows, cols, 2, 2);
  const auto g = test_matrix<T>::normal(rows, cols, 3, 3);
  std::vector<double> want;
  std::vector<double> want_dlogs;
  for (index_t i = 0; i < rows; ++i) {
    for (index_t j = 0; j < cols; ++j) {
      const double v = clamped(logs.get(i, j), how);
      const double noise = std::exp(v / 2) * static_cast<double>(feaug::draw_normal(key, i, j));
      want.push_back(x.get(i, j) + noise);
      want_dlogs.push_back(v == logs.get(i, j) ? g.get(i, j) * noise / 2 : 0.0);
    }
  }
  const double tolerance = testing::tolerance<T>();
  CHECK(testing::relative_error(augmented(feaug::with_log_variance(how, logs.view()), x), want) <
        tolerance);

  cpu_context ctx{.threads = 2};
  test_matrix<T> dx(rows, cols, 1);
  test_matrix<T> dlogs(rows, cols, 2);
  dx.fill(not_a_number);
  dlogs.fill(not_a_number);
  feaug::augment_backward(ctx,
                          feaug::with_log_variance(how, differentiable(logs.view(), dlogs.view())),
                          differentiable(x.view(), dx.view()), key, g.view());
  CHECK(dx.values() == g.values());
  CHECK(testing::relative_error(dlogs.values(), want_dlogs) < tolerance);
  CHECK((dx.padding_intact() && dlogs.padding_intact()));
  // The draw given as an input; and the output over the log-variances, in place.
  test_matrix<T> epsilon(rows, cols, 2);
  feaug::draw(ctx, feaug::gaussian_noise{}, key, epsilon.view());
  const auto given = feaug::with_log_variance(how, stop_gradient(logs.view()), epsilon.view());
  if (sizeof(T) >= 4) {
    CHECK(augmented(given, x, {}) == augmented(feaug::with_log_variance(how, logs.view()), x));
  } else {
    CHECK(testing::relative_error(augmented(given, x, {}), want) < 2 * tolerance);
  }
  const auto drawn = augmented(feaug::with_log_variance(how, logs.view()), x);
  auto over_logs = logs;
  feaug::augment(ctx, feaug::with_log_variance(how, over_logs.view()), x.view(), key,
                 over_logs.view());
  CHECK(over_logs.values() == drawn);
}

TEST_CASE("latent_noise within one_of", "[augment][latent]") {
  const auto x = test_matrix<float>::normal(4, 37, 1);
  const auto logs = test_matrix<float>::normal(4, 37, 2);
  cpu_context ctx{.threads = 2};
  test_matrix<float> out(4, 37);
  // For rows that are not chosen, neither the cotangent nor the log-variances are read.
  auto broken = logs;
  test_matrix<float> g(4, 37);
  g.fill(1.0);
  broken.set(1, 5, not_a_number);
  g.fill_row(1, not_a_number);
  const std::vector<index_t> choice = {0, 1, 0, 1};
  test_matrix<float> dx(4, 37);
  test_matrix<float> dlogs(4, 37);
  dlogs.fill(not_a_number);
  const auto some = feaug::one_of_from(
      feaug::vector_view<const index_t>(choice.data(), 4),
      feaug::with_log_variance(feaug::latent_noise{}, differentiable(broken.view(), dlogs.view())),
      feaug::identity{});
  feaug::augment(ctx, some, x.view(), key, out.view());
  feaug::augment_backward(ctx, some, differentiable(x.view(), dx.view()), key, g.view());
  for (index_t j = 0; j < 37; ++j) {
    CHECK((out.view()(1, j) == x.view()(1, j) && out.view()(0, j) != x.view()(0, j)));
    CHECK((dlogs.get(1, j) == 0.0 && dlogs.get(3, j) == 0.0 && dlogs.get(2, j) != 0.0));
    CHECK((dx.get(0, j) == 1.0 && dx.get(3, j) == 1.0));
  }
}

TEST_CASE("latent_noise: edge cases", "[augment][latent]") {
  cpu_context ctx{.threads = 1};
  test_matrix<float> none(0, 5);
  CHECK_NOTHROW(feaug::augment(ctx, feaug::with_log_variance(feaug::latent_noise{}, none.view()),
                               none.view(), key, test_matrix<float>(0, 5).view()));
  const auto x = test_matrix<double>::normal(1, 4, 1);
  test_matrix<double> logs(1, 4);
  logs.set(0, 0, -infinity);  // standard deviation 0
  logs.set(0, 1, not_a_number);
  logs.set(0, 2, 2000);
  logs.set(0, 3, -2000);
  test_matrix<double> g(1, 4);
  g.fill(2.0);
  test_matrix<double> dlogs(1, 4);
  const auto policy = [&](const feaug::latent_noise& how) {
    return feaug::with_log_variance(how, differentiable(logs.view(), dlogs.view()));
  };
  auto out = augmented(policy({}), x);
  CHECK((out[0] == x.get(0, 0) && std::isnan(out[1]) && std::isinf(out[2])));
  CHECK(out[3] == x.get(0, 3));
  feaug::augment_backward(ctx, policy({}), stop_gradient(x.view()), key, g.view());
  CHECK((dlogs.get(0, 0) == 0.0 && std::isnan(dlogs.get(0, 1)) && dlogs.get(0, 3) == 0.0));
  // Bounds make infinite log-variances finite. NaN still propagates.
  const feaug::latent_noise bounded{.least_log_variance = -10, .most_log_variance = 10};
  out = augmented(policy(bounded), x);
  CHECK((std::isfinite(out[0]) && std::isnan(out[1]) && std::isfinite(out[2])));
  CHECK(out[2] ==
        Approx(x.get(0, 2) + std::exp(5.0) * static_cast<double>(feaug::draw_normal(key, 0, 2))));
  feaug::augment_backward(ctx, policy(bounded), stop_gradient(x.view()), key, g.view());
  CHECK((dlogs.get(0, 0) == 0.0 && dlogs.get(0, 2) == 0.0 && dlogs.get(0, 3) == 0.0));
  // At the bound itself the gradient is not 0.
  logs.set(0, 2, 10.0);
  feaug::augment_backward(ctx, policy(bounded), stop_gradient(x.view()), key, g.view());
  CHECK(dlogs.get(0, 2) != 0.0);
}

TEST_CASE("latent_noise reports invalid arguments before it writes", "[augment][latent][misuse]") {
  cpu_context ctx{.threads = 1};
  const auto x = test_matrix<float>::normal(3, 5, 1);
  auto logs = test_matrix<float>::normal(3, 5, 2);
  const auto g = test_matrix<float>::normal(3, 5, 3);
  test_matrix<float> out(3, 5);
  out.fill(9.0);
  const auto both = [&](const auto& policy, const std::string& wanted) {
    CHECK(message_of([&] { feaug::augment(ctx, policy, x.view(), key, out.view()); }) == wanted);
    CHECK(message_of([&] {
            feaug::augment_backward(ctx, policy, differentiable(x.view(), out.view()), key,
                                    g.view());
          }) == wanted);
    CHECK(out.values() == std::vector<double>(15, 9.0));
  };
  const std::string op = "latent_noise: ";
  const feaug::latent_noise how;
  both(feaug::with_log_variance(how, logs.view().rows_from(0, 2)),
       op + "log_variance: got shape (2, 5), wanted shape (3, 5) as x");
  both(feaug::with_log_variance(how, stop_gradient(logs.view()), g.view().rows_from(0, 2)),
       op + "epsilon: got shape (2, 5), wanted shape (3, 5) as x");
  both(feaug::with_log_variance(how, feaug::matrix_view<const float>(nullptr, 3, 5)),
       op + "log_variance: got a null pointer with shape (3, 5), wanted a pointer to its elements");
  both(feaug::with_log_variance(how, differentiable(logs.view(), logs.view())),
       op + "gradient of log_variance: got memory that overlaps log_variance, wanted memory of its "
            "own");
  both(feaug::with_log_variance({.least_log_variance = static_cast<float>(not_a_number)},
                                logs.view()),
       op + "least_log_variance: got nan, wanted a number");
  both(feaug::with_log_variance({.least_log_variance = 2, .most_log_variance = 1}, logs.view()),
       op + "most_log_variance: got 1, wanted at least least_log_variance = 2");

  const auto forward = [&](const auto& policy) {
    return message_of([&] { feaug::augment(ctx, policy, x.view(), key, out.view()); });
  };
  const auto backward = [&](const auto& policy) {
    return message_of([&] {
      feaug::augment_backward(ctx, policy, differentiable(x.view(), out.view()), key, g.view());
    });
  };
  const auto given = feaug::with_log_variance(how, stop_gradient(logs.view()), out.view());
  CHECK(forward(given) == op + "out: got memory that overlaps epsilon, wanted memory of its own");
  CHECK(backward(given) ==
        op + "gradient of x: got memory that overlaps epsilon, wanted memory of its own");
  test_matrix<float> memory(4, 5);
  const auto shifted = feaug::with_log_variance(how, memory.view().rows_from(1, 3));
  CHECK(message_of([&] {
          feaug::augment(ctx, shifted, x.view(), key, memory.view().rows_from(0, 3));
        }) == op + "out: got memory that partly overlaps log_variance, wanted the same view or "
                   "memory of its own");
  CHECK(backward(feaug::with_log_variance(how, differentiable(logs.view(), out.view()))) ==
        op + "gradient of x: got memory that overlaps gradient of log_variance, wanted memory of "
             "its own");
  auto cotangent = g;
  CHECK(message_of([&] {
          feaug::augment_backward(
              ctx, feaug::with_log_variance(how, differentiable(logs.view(), cotangent.view())),
              stop_gradient(x.view()), key, cotangent.view());
        }) == op + "gradient of log_variance: got memory that overlaps grad_out, wanted memory of "
                   "its own");
  CHECK((out.values() == std::vector<double>(15, 9.0) && cotangent.values() == g.values()));
}

}  // namespace latent_noise_test
