// adversarial_step compared with its formula in plain loops: both norms, projection, several steps,
// zero gradients, aliasing, edge cases, error messages.
#include "feaug/cpu/augment/adversarial.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace adversarial_test {

using feaug::adversarial_gradient;
using feaug::adversarial_norm;
using feaug::adversarial_options;
using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using testing::message_of;
using testing::test_matrix;

namespace {

const double not_a_number = std::numeric_limits<double>::quiet_NaN();
const double infinity = std::numeric_limits<double>::infinity();

double length(const std::vector<double>& row) {
  double squares = 0;
  for (double v : row) squares += v * v;
  return std::sqrt(squares);
}

template <class T>
std::vector<double> row_of(const test_matrix<T>& x, index_t i) {
  std::vector<double> row;
  for (index_t j = 0; j < x.cols(); ++j) row.push_back(x.get(i, j));
  return row;
}

/// The formula for one row.
std::vector<double> moved(const std::vector<double>& original, const std::vector<double>& current,
                          const std::vector<double>& gradient, const adversarial_options& how) {
  const double scale = how.relative_to == feaug::noise_scale::row_norm ? length(original) : 1.0;
  const double step = how.step_size * scale;
  const double radius = how.radius * scale;
  std::vector<double> out = current;
  for (std::size_t j = 0; j < out.size(); ++j) {
    if (how.norm == adversarial_norm::linf) {
      out[j] += gradient[j] == 0 ? 0 : std::copysign(step, gradient[j]);
      out[j] = std::min(std::max(out[j], original[j] - radius), original[j] + radius);
    } else if (length(gradient) > 0) {
      out[j] += step * gradient[j] / length(gradient);
    }
  }
  if (how.norm == adversarial_norm::l2) {
    std::vector<double> offset;
    for (std::size_t j = 0; j < out.size(); ++j) offset.push_back(out[j] - original[j]);
    const double size = length(offset);
    for (std::size_t j = 0; j < out.size() && size > radius; ++j)
      out[j] = original[j] + offset[j] * radius / size;
  }
  const double size = length(out);
  if (how.renormalize) {
    for (double& v : out) v /= size;
  }
  return out;
}

template <class T>
std::vector<double> step(const test_matrix<T>& original, const test_matrix<T>& current,
                         const test_matrix<T>& gradient, const adversarial_options& how,
                         int threads = 1) {
  cpu_context ctx{.threads = threads};
  test_matrix<T> out(original.rows(), original.cols(), 3);
  feaug::adversarial_step(ctx, original.view(), current.view(), gradient.view(), how, out.view());
  CHECK(out.padding_intact());
  return out.values();
}

}  // namespace

TEMPLATE_TEST_CASE("adversarial_step agrees with its formula", "[augment][adversarial]", double,
                   float, feaug::half, feaug::bfloat16) {
  using T = TestType;
  for (const index_t cols : {index_t{1}, index_t{37}}) {
    const auto original = test_matrix<T>::normal(6, cols, 1, 1);
    auto current = test_matrix<T>::normal(6, cols, 2, 2);
    for (index_t i = 0; i < 6; ++i) {
      for (index_t j = 0; j < cols; ++j)
        current.set(i, j, original.get(i, j) + 0.05 * current.get(i, j));
    }
    auto gradient = test_matrix<T>::normal(6, cols, 3, 4);
    gradient.fill_row(2, 0.0);
    for (const auto norm : {adversarial_norm::l2, adversarial_norm::linf}) {
      for (const double radius : {0.0, 0.2, 100.0}) {
        for (const auto relative : {feaug::noise_scale::absolute, feaug::noise_scale::row_norm}) {
          for (const bool renormalize : {false, true}) {
            CAPTURE(cols, static_cast<int>(norm), radius, static_cast<int>(relative), renormalize);
            const adversarial_options how{.norm = norm,
                                          .step_size = 0.3,
                                          .radius = radius,
                                          .relative_to = relative,
                                          .renormalize = renormalize};
            std::vector<double> want;
            for (index_t i = 0; i < 6; ++i) {
              for (double v :
                   moved(row_of(original, i), row_of(current, i), row_of(gradient, i), how))
                want.push_back(v);
            }
            const auto got = step(original, current, gradient, how);
            CHECK(testing::relative_error(got, want) < testing::tolerance<T>());
            CHECK(step(original, current, gradient, how, 2) == got);
          }
        }
      }
    }
  }
}

TEST_CASE("adversarial steps stay in the ball, ascend, and ignore the gradient's scale",
          "[augment][adversarial]") {
  const auto x = test_matrix<double>::normal(300, 120, 1);
  auto gradient = test_matrix<double>::normal(300, 120, 2);
  const adversarial_options how{.step_size = 0.5, .radius = 0.25};
  const auto out = step(x, x, gradient, how);
  for (index_t i = 0; i < 300; ++i) {
    double squares = 0;
    double climbed = 0;
    for (index_t j = 0; j < 120; ++j) {
      const double offset = out[static_cast<std::size_t>(120 * i + j)] - x.get(i, j);
      squares += offset * offset;
      climbed += offset * gradient.get(i, j);
    }
    CHECK(std::sqrt(squares) == Approx(0.25));
    CHECK(climbed > 0);
  }
  CHECK(step(x, x, gradient, how, 2) == out);
  CHECK(step(x, x, gradient, how, 3) == out);
  for (index_t i = 0; i < 300; ++i) {
    const double factor = i % 2 == 0 ? 0x1p-300 : 0x1p+600;
    for (index_t j = 0; j < 120; ++j) gradient.set(i, j, gradient.get(i, j) * factor);
  }
  CHECK(testing::relative_error(step(x, x, gradient, how), out) < 1e-12);
}

TEST_CASE("adversarial_steps equals a loop of single steps", "[augment][adversarial]") {
  // The loss Σ ½ a_j x_j² has the gradient a ⊙ x, which changes from step to step.
  const auto x = test_matrix<float>::normal(5, 6, 1);
  const auto a = test_matrix<float>::normal(5, 6, 2);
  test_matrix<float> gradient(5, 6);
  int calls = 0;
  const auto gradient_of = [&](const feaug::matrix_view<float>& at) {
    ++calls;
    for (index_t i = 0; i < 5; ++i) {
      for (index_t j = 0; j < 6; ++j) gradient.view()(i, j) = a.view()(i, j) * at(i, j);
    }
  };
  const adversarial_options how{.norm = GENERATE(adversarial_norm::l2, adversarial_norm::linf),
                                .step_size = 0.1,
                                .radius = 0.25};
  cpu_context ctx{.threads = 1};
  test_matrix<float> out(5, 6);
  feaug::adversarial_steps(ctx, x.view(), gradient.view(), gradient_of, {.step = how, .steps = 4},
                           out.view());
  CHECK(calls == 4);
  test_matrix<float> want = x;
  for (int i = 0; i < 4; ++i) {
    gradient_of(want.view());
    feaug::adversarial_step(ctx, x.view(), want.view(), gradient.view(), how, want.view());
  }
  CHECK(out.values() == want.values());
  CHECK(out.values() != step(x, x, gradient, how));
}

TEST_CASE("adversarial steps work in place; their gradient is 0 or the cotangent",
          "[augment][adversarial]") {
  const auto x = test_matrix<float>::normal(4, 7, 1);
  const auto current = test_matrix<float>::normal(4, 7, 2);
  const auto gradient = test_matrix<float>::normal(4, 7, 3);
  const adversarial_options how{
      .radius = 0.5, .relative_to = feaug::noise_scale::row_norm, .renormalize = true};
  const auto want = step(x, current, gradient, how);
  cpu_context ctx{.threads = 1};
  auto b = current;
  feaug::adversarial_step(ctx, x.view(), b.view(), gradient.view(), how, b.view());
  CHECK(b.values() == want);
  auto c = gradient;
  feaug::adversarial_step(ctx, x.view(), current.view(), c.view(), how, c.view());
  CHECK(c.values() == want);

  const auto g = test_matrix<float>::normal(4, 7, 4);
  test_matrix<float> dx(4, 7, 2);
  const adversarial_options through{.gradient = adversarial_gradient::straight_through};
  dx.fill(not_a_number);
  feaug::adversarial_backward(ctx, differentiable(x.view(), dx.view()), g.view());
  CHECK(dx.values() == std::vector<double>(28, 0.0));
  feaug::adversarial_backward(ctx, differentiable(x.view(), dx.view()), g.view(), through);
  CHECK(dx.values() == g.values());
  feaug::adversarial_backward(ctx, feaug::accumulate(x.view(), dx.view()), g.view());
  CHECK(dx.values() == g.values());
  feaug::adversarial_backward(ctx, feaug::accumulate(x.view(), dx.view()), g.view(), through);
  CHECK(dx.get(1, 1) == 2 * g.get(1, 1));
  CHECK(dx.padding_intact());
  feaug::adversarial_backward(ctx, feaug::stop_gradient(x.view()), g.view(), through);
}

TEST_CASE("adversarial steps: edge cases", "[augment][adversarial]") {
  const auto norm = GENERATE(adversarial_norm::l2, adversarial_norm::linf);
  const adversarial_options how{.norm = norm};
  cpu_context ctx{.threads = 1};
  test_matrix<float> none(0, 3);
  CHECK_NOTHROW(feaug::adversarial_step(ctx, none.view(), none.view(), none.view(), how,
                                        test_matrix<float>(0, 3).view()));
  // With a zero gradient nothing moves, except that rows outside the ball are projected back.
  auto x = test_matrix<double>::normal(6, 4, 1);
  test_matrix<double> zero(6, 4);
  CHECK(step(x, x, zero, how) == x.values());
  auto far_away = x;
  far_away.set(2, 1, x.get(2, 1) + 3);
  CHECK(step(x, far_away, zero, how)[9] == Approx(x.get(2, 1) + 0.1));
  // The norm of a zero row is 0, so its relative step is 0.
  x.fill_row(0, 0.0);
  auto gradient = test_matrix<double>::normal(6, 4, 2);
  const adversarial_options relative{.norm = norm, .relative_to = feaug::noise_scale::row_norm};
  CHECK(step(x, x, gradient, relative)[2] == 0.0);
  // Non-finite values make only their row NaN; with the linf norm, possibly only their element.
  for (const double broken : {not_a_number, infinity, -infinity}) {
    for (int which = 0; which < 3; ++which) {
      CAPTURE(broken, which);
      auto original = x;
      auto current = x;
      auto slope = gradient;
      (which == 0 ? original : which == 1 ? current : slope).set(3, 1, broken);
      const auto out = step(original, current, slope, how);
      CHECK(std::isnan(out[13]));
      for (std::size_t k = 0; k < 24; ++k) {
        const bool in_row = k / 4 == 3;
        if (!in_row) CHECK(std::isfinite(out[k]));
        if (in_row && norm == adversarial_norm::l2) CHECK(std::isnan(out[k]));
      }
    }
  }
}

TEST_CASE("adversarial steps report invalid arguments before they write",
          "[augment][adversarial][misuse]") {
  cpu_context ctx{.threads = 1};
  const auto x = test_matrix<float>::normal(3, 4, 1);
  const auto g = test_matrix<float>::normal(3, 4, 2);
  test_matrix<float> out(3, 4);
  out.fill(9.0);
  const auto said = [&](const auto& original, const auto& current, const auto& gradient,
                        const adversarial_options& how, const auto& to) {
    const std::string message =
        message_of([&] { feaug::adversarial_step(ctx, original, current, gradient, how, to); });
    CHECK(out.values() == std::vector<double>(12, 9.0));
    return message;
  };
  const std::string op = "adversarial_step: ";
  const auto two = g.view().rows_from(0, 2);
  CHECK(said(x.view(), two, g.view(), {}, out.view()) ==
        op + "current: got shape (2, 4), wanted shape (3, 4) as original");
  CHECK(said(x.view(), x.view(), two, {}, out.view()) ==
        op + "gradient: got shape (2, 4), wanted shape (3, 4) as original");
  CHECK(said(x.view(), x.view(), g.view(), {}, out.view().rows_from(0, 2)) ==
        op + "out: got shape (2, 4), wanted shape (3, 4) as original");
  CHECK(said(feaug::matrix_view<const float>(nullptr, 3, 4), x.view(), g.view(), {}, out.view()) ==
        op + "original: got a null pointer with shape (3, 4), wanted a pointer to its elements");
  CHECK(said(x.view(), x.view(), g.view(), {.step_size = -1}, out.view()) ==
        op + "step_size: got -1, wanted a finite number of at least 0");
  CHECK(said(x.view(), x.view(), g.view(), {.radius = infinity}, out.view()) ==
        op + "radius: got inf, wanted a finite number of at least 0");
  test_matrix<float> memory(4, 4);
  const auto shifted = memory.view().rows_from(1, 3);
  const auto to = memory.view().rows_from(0, 3);
  const std::string overlap = ", wanted the same view or memory of its own";
  CHECK(said(shifted, x.view(), g.view(), {}, to) ==
        op + "out: got memory that partly overlaps original" + overlap);
  CHECK(said(x.view(), shifted, g.view(), {}, to) ==
        op + "out: got memory that partly overlaps current" + overlap);
  CHECK(said(x.view(), x.view(), shifted, {}, to) ==
        op + "out: got memory that partly overlaps gradient" + overlap);

  const auto steps = [&](int count, const auto& to_here) {
    return message_of([&] {
      feaug::adversarial_steps(
          ctx, x.view(), g.view(), [](const auto&) { FAIL("was called"); }, {.steps = count},
          to_here);
    });
  };
  CHECK(steps(0, out.view()) == "adversarial_steps: steps: got 0, wanted a number of at least 1");
  auto same = x;
  CHECK(message_of([&] {
          feaug::adversarial_steps(
              ctx, same.view(), g.view(), [](const auto&) {}, {}, same.view());
        }) ==
        "adversarial_steps: out: got memory that overlaps original, wanted memory of its own");
  CHECK(message_of([&] {
          feaug::adversarial_steps(
              ctx, x.view(), same.view(), [](const auto&) {}, {}, same.view());
        }) ==
        "adversarial_steps: out: got memory that overlaps gradient, wanted memory of its own");
  CHECK(message_of([&] {
          feaug::adversarial_backward(ctx, differentiable(x.view(), out.view()), two);
        }) == "adversarial_backward: grad_out: got shape (2, 4), wanted shape (3, 4) as x");
  CHECK(message_of([&] {
          feaug::adversarial_backward(ctx, differentiable(x.view(), out.view()), g.view(),
                                      {.radius = -1});
        }) == "adversarial_backward: radius: got -1, wanted a finite number of at least 0");
  CHECK(out.values() == std::vector<double>(12, 9.0));
}

}  // namespace adversarial_test
