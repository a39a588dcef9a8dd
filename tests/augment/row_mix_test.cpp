// slerp and exchange_moments compared with their formulas in plain loops, their gradients with
// automatic differentiation; drawn and given values, one_of, edge cases, error messages.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "feaug/feaug.hpp"
#include "support/automatic_gradient.hpp"
#include "support/exchange_means.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace row_mix_test {

using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::random_key;
using feaug::stop_gradient;
using testing::dual;
using testing::exchange_means;
using testing::test_matrix;

namespace {

constexpr random_key key{.seed = 11, .step = 5, .stream = 2};
const double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// The formula for one row; C is double or a dual number.
template <class C>
std::vector<C> formula(const feaug::slerp& /*mix*/, const std::vector<C>& x,
                       const std::vector<C>& p, double w) {
  const auto unit = [](const std::vector<C>& row) {
    C squares = row[0] * row[0];
    for (std::size_t j = 1; j < row.size(); ++j) squares += row[j] * row[j];
    std::vector<C> out;
    out.reserve(row.size());
    for (const C& v : row) out.push_back(v / sqrt(squares));
    return out;
  };
  const std::vector<C> u = unit(x);
  const std::vector<C> v = unit(p);
  C cosine = u[0] * v[0];
  for (std::size_t j = 1; j < u.size(); ++j) cosine += u[j] * v[j];
  const C angle = acos(cosine);
  std::vector<C> out;
  for (std::size_t j = 0; j < u.size(); ++j)
    out.push_back((sin(w * angle) * u[j] + sin((1 - w) * angle) * v[j]) / sin(angle));
  return out;
}

template <class C>
std::vector<C> formula(const feaug::exchange_moments& mix, const std::vector<C>& x,
                       const std::vector<C>& p, double /*w*/) {
  const auto count = static_cast<double>(x.size());
  const auto mean = [&](const std::vector<C>& row) {
    C sum = row[0];
    for (std::size_t j = 1; j < row.size(); ++j) sum += row[j];
    return C(sum / count);
  };
  const auto deviation = [&](const std::vector<C>& row, const C& centre) {
    C sum = (row[0] - centre) * (row[0] - centre);
    for (std::size_t j = 1; j < row.size(); ++j) sum += (row[j] - centre) * (row[j] - centre);
    return C(sqrt(sum / count + mix.eps));
  };
  const C centre_x = mean(x);
  const C centre_p = mean(p);
  const C ratio = deviation(p, centre_p) / deviation(x, centre_x);
  std::vector<C> out;
  out.reserve(x.size());
  for (const C& v : x) out.push_back((v - centre_x) * ratio + centre_p);
  return out;
}

template <class C>
std::vector<C> formula(const exchange_means& /*mix*/, const std::vector<C>& x,
                       const std::vector<C>& p, double /*w*/) {
  const auto count = static_cast<double>(x.size());
  C difference = p[0] - x[0];
  for (std::size_t j = 1; j < x.size(); ++j) difference += p[j] - x[j];
  std::vector<C> out;
  out.reserve(x.size());
  for (const C& v : x) out.push_back(v + difference / count);
  return out;
}

template <class T>
std::vector<double> row_of(const test_matrix<T>& x, index_t i) {
  std::vector<double> row;
  for (index_t j = 0; j < x.cols(); ++j) row.push_back(x.get(i, j));
  return row;
}

template <class T, class Policy>
std::vector<double> augmented(const Policy& policy, const test_matrix<T>& x) {
  cpu_context ctx{.threads = 1};
  test_matrix<T> out(x.rows(), x.cols(), 3);
  feaug::augment(ctx, policy, x.view(), key, out.view());
  CHECK(out.padding_intact());
  return out.values();
}

/// `mix` with this partner and, if it has weights, these weights.
template <class Mix, class Partner, class C>
auto mixed_with(const Mix& mix, const Partner& partner, const std::vector<C>& weights) {
  if constexpr (feaug::weighted_mix<Mix>) {
    return feaug::with_weights(mix, partner,
                               {weights.data(), static_cast<index_t>(weights.size())});
  } else {
    return feaug::with_partner(mix, partner);
  }
}

/// Compares values and both gradients with the formula, for a given partner.
template <class T, class Mix>
void check_formula(const Mix& mix, index_t rows, index_t cols) {
  CAPTURE(rows, cols);
  using C = feaug::compute_t<T>;
  const auto x = test_matrix<T>::normal(rows, cols, 1, 2);
  const auto partner = test_matrix<T>::normal(rows, cols, 2, 1);
  const auto g = test_matrix<T>::normal(rows, cols, 3, 4);
  std::vector<C> weights;
  for (index_t i = 0; i < rows; ++i)
    weights.push_back(static_cast<C>(i) / static_cast<C>(std::max<index_t>(rows - 1, 1)));
  std::vector<double> want;
  std::vector<double> want_dx;
  std::vector<double> want_dp;
  for (index_t i = 0; i < rows; ++i) {
    const auto w = static_cast<double>(weights[static_cast<std::size_t>(i)]);
    for (double v : formula<double>(mix, row_of(x, i), row_of(partner, i), w)) want.push_back(v);
    std::vector<double> both = row_of(x, i);
    for (double v : row_of(partner, i)) both.push_back(v);
    const auto found = testing::automatic_gradient(
        [&](const std::vector<dual>& in) {
          const std::vector<dual> out =
              formula<dual>(mix, {in.begin(), in.begin() + cols}, {in.begin() + cols, in.end()}, w);
          dual sum = out[0] * g.get(i, 0);
          for (index_t j = 1; j < cols; ++j) sum += out[static_cast<std::size_t>(j)] * g.get(i, j);
          return sum;
        },
        both);
    want_dx.insert(want_dx.end(), found.gradient.begin(), found.gradient.begin() + cols);
    want_dp.insert(want_dp.end(), found.gradient.begin() + cols, found.gradient.end());
  }
  const double tolerance = testing::tolerance<T>();
  CHECK(testing::relative_error(
            augmented(mixed_with(mix, stop_gradient(partner.view()), weights), x), want) <
        tolerance);

  cpu_context ctx{.threads = 2};
  test_matrix<T> dx(rows, cols, 1);
  test_matrix<T> dp(rows, cols, 3);
  dx.fill(not_a_number);
  dp.fill(not_a_number);
  feaug::augment_backward(ctx, mixed_with(mix, differentiable(partner.view(), dp.view()), weights),
                          differentiable(x.view(), dx.view()), key, g.view());
  CHECK(testing::relative_error(dx.values(), want_dx) < tolerance);
  CHECK(testing::relative_error(dp.values(), want_dp) < tolerance);
  CHECK((dx.padding_intact() && dp.padding_intact()));
  // The output overwrites the partner.
  const auto policy = mixed_with(mix, stop_gradient(partner.view()), weights);
  auto over_partner = partner;
  feaug::augment(ctx, mixed_with(mix, stop_gradient(over_partner.view()), weights), x.view(), key,
                 over_partner.view());
  CHECK(over_partner.values() == augmented(policy, x));
}

/// The output of one row, and its gradients for the cotangent 1, 2, 3, …
struct one_row {
  std::vector<double> out;
  std::vector<double> dx;
  std::vector<double> dp;
};

template <class T, class Mix>
one_row run_row(const Mix& mix, const std::vector<double>& x, const std::vector<double>& p) {
  const auto cols = static_cast<index_t>(x.size());
  test_matrix<T> row(1, cols);
  test_matrix<T> partner(1, cols);
  test_matrix<T> g(1, cols);
  for (index_t j = 0; j < cols; ++j) {
    row.set(0, j, x[static_cast<std::size_t>(j)]);
    partner.set(0, j, p[static_cast<std::size_t>(j)]);
    g.set(0, j, static_cast<double>(j + 1));
  }
  test_matrix<T> out(1, cols);
  test_matrix<T> dx(1, cols);
  test_matrix<T> dp(1, cols);
  cpu_context ctx{.threads = 1};
  const auto policy = feaug::with_partner(mix, differentiable(partner.view(), dp.view()));
  feaug::augment(ctx, policy, row.view(), key, out.view());
  feaug::augment_backward(ctx, policy, differentiable(row.view(), dx.view()), key, g.view());
  return {out.values(), dx.values(), dp.values()};
}

template <class T>
void all_close(const std::vector<double>& got, const std::vector<double>& want) {
  CHECK(testing::relative_error(got, want, 1e-30) < testing::tolerance<T>());
}

void all_nan(const std::vector<double>& values) {
  for (double v : values) CHECK(std::isnan(v));
}

}  // namespace

TEMPLATE_TEST_CASE("row mixes agree with their formulas", "[augment][row_mix]", double, float,
                   feaug::half, feaug::bfloat16) {
  check_formula<TestType>(feaug::slerp{}, 1, 3);
  check_formula<TestType>(feaug::slerp{}, 5, 2);
  check_formula<TestType>(feaug::slerp{}, 7, 37);
  check_formula<TestType>(feaug::exchange_moments{}, 1, 3);
  check_formula<TestType>(feaug::exchange_moments{}, 4, 1);
  check_formula<TestType>(feaug::exchange_moments{.eps = 0.5}, 7, 37);
  check_formula<TestType>(exchange_means{}, 6, 19);
}

TEST_CASE("row mixes draw like interpolate, and equal mixes with given draws",
          "[augment][row_mix]") {
  const auto x = test_matrix<float>::normal(8, 6, 3);
  cpu_context ctx{.threads = 1};
  std::vector<float> weights(8);
  std::vector<float> others(8);
  std::vector<index_t> permutation(8);
  std::vector<index_t> order(8);
  const feaug::slerp mix{.distribution = feaug::weight_distribution::beta, .alpha = 0.5F};
  const feaug::interpolate twin{.distribution = feaug::weight_distribution::beta, .alpha = 0.5F};
  feaug::draw(ctx, mix, key, feaug::vector_view<float>(weights.data(), 8),
              feaug::vector_view<index_t>(permutation.data(), 8));
  feaug::draw(ctx, twin, key, feaug::vector_view<float>(others.data(), 8),
              feaug::vector_view<index_t>(order.data(), 8));
  CHECK(weights == others);
  CHECK(permutation == order);
  const auto permuted = [&] {
    test_matrix<float> partner(8, 6);
    for (index_t i = 0; i < 8; ++i) {
      for (index_t j = 0; j < 6; ++j)
        partner.set(i, j, x.get(permutation[static_cast<std::size_t>(i)], j));
    }
    return partner;
  };
  const auto for_slerp = permuted();
  CHECK(
      augmented(mix, x) ==
      augmented(feaug::with_weights(mix, stop_gradient(for_slerp.view()), {weights.data(), 8}), x));
  const feaug::exchange_moments exchange;
  feaug::draw(ctx, exchange, key, feaug::vector_view<index_t>(permutation.data(), 8));
  CHECK(permutation != order);  // without weights, the permutation uses the first stream
  const auto for_exchange = permuted();
  CHECK(augmented(exchange, x) == augmented(feaug::with_partner(exchange, for_exchange.view()), x));
  CHECK(feaug::stream_count<feaug::slerp> == 2);
  CHECK(feaug::stream_count<feaug::exchange_moments> == 1);
}

TEST_CASE("row mixes within one_of read and write only their rows", "[augment][row_mix]") {
  auto g = test_matrix<double>::normal(40, 5, 2);
  const auto x = test_matrix<double>::normal(40, 5, 1);
  const auto partner = test_matrix<double>::normal(40, 5, 3);
  std::vector<index_t> choice;
  for (index_t i = 0; i < 40; ++i) choice.push_back(i % 3 == 0 ? 0 : 1);
  const feaug::vector_view<const index_t> chosen(choice.data(), 40);
  test_matrix<double> dx(40, 5);
  test_matrix<double> dp(40, 5);
  dp.fill(3.0);
  cpu_context ctx{.threads = 2};
  const auto mix =
      feaug::with_partner(feaug::slerp{.weight = 0.25F}, differentiable(partner.view(), dp.view()));
  feaug::augment_backward(ctx, feaug::one_of_from(chosen, mix, feaug::identity{}),
                          differentiable(x.view(), dx.view()), key, g.view());
  test_matrix<double> all_dx(40, 5);
  test_matrix<double> all_dp(40, 5);
  feaug::augment_backward(ctx,
                          feaug::with_partner(feaug::slerp{.weight = 0.25F},
                                              differentiable(partner.view(), all_dp.view())),
                          differentiable(x.view(), all_dx.view()), key, g.view());
  for (index_t i = 0; i < 40; ++i) {
    for (index_t j = 0; j < 5; ++j) {
      CHECK(dx.get(i, j) == (i % 3 == 0 ? all_dx.get(i, j) : g.get(i, j)));
      CHECK(dp.get(i, j) == (i % 3 == 0 ? all_dp.get(i, j) : 0.0));
    }
  }
}

TEST_CASE("slerp moves on the sphere from the partner to x", "[augment][row_mix]") {
  const auto x = test_matrix<double>::normal(20, 9, 1);
  const auto partner = test_matrix<double>::normal(20, 9, 2);
  const auto at = [&](float w) {
    return augmented(feaug::with_partner(feaug::slerp{.weight = w}, partner.view()), x);
  };
  const auto half_way = at(0.5F);
  test_matrix<double> unit(20, 9);
  cpu_context ctx{.threads = 1};
  feaug::l2_normalize(ctx, x.view(), unit.view());
  all_close<double>(at(1.0F), unit.values());
  feaug::l2_normalize(ctx, partner.view(), unit.view());
  all_close<double>(at(0.0F), unit.values());
  for (std::size_t i = 0; i < 20; ++i) {
    double squares = 0;
    for (std::size_t j = 0; j < 9; ++j) squares += half_way[i * 9 + j] * half_way[i * 9 + j];
    CHECK(squares == Approx(1.0).epsilon(1e-13));
  }
}

TEMPLATE_TEST_CASE("slerp of equal and of opposite directions", "[augment][row_mix]", double,
                   float) {
  using T = TestType;
  // Equal directions: the output is unit(x); dx is w times the gradient through unit(x).
  const feaug::slerp mix{.weight = 0.25F};
  const auto same = run_row<T>(mix, {3, 0, 4}, {6, 0, 8});
  all_close<T>(same.out, {0.6, 0, 0.8});
  // g = (1, 2, 3), u·g = 3: (g − 3u) = (−0.8, 2, 0.6)
  all_close<T>(same.dx, {-0.8 * 0.25 / 5, 2 * 0.25 / 5, 0.6 * 0.25 / 5});
  all_close<T>(same.dp, {-0.8 * 0.75 / 10, 2 * 0.75 / 10, 0.6 * 0.75 / 10});
  // Opposite directions: the unit row with the larger weight, x if both are equal.
  const auto nearer_partner = run_row<T>(mix, {3, 0, 4}, {-3, 0, -4});
  all_close<T>(nearer_partner.out, {-0.6, 0, -0.8});
  CHECK(nearer_partner.dx == std::vector<double>{0, 0, 0});
  all_close<T>(nearer_partner.dp, {-0.8 / 5, 2.0 / 5, 0.6 / 5});
  const auto nearer_x = run_row<T>(feaug::slerp{.weight = 0.5F}, {3, 0, 4}, {-30, 0, -40});
  all_close<T>(nearer_x.out, {0.6, 0, 0.8});
  all_close<T>(nearer_x.dx, {-0.8 / 5, 2.0 / 5, 0.6 / 5});
  CHECK(nearer_x.dp == std::vector<double>{0, 0, 0});
}

TEST_CASE("slerp is accurate for small angles and near opposite directions", "[augment][row_mix]") {
  // In the plane, with x at angle ω and the partner at 0, the output is at angle w·ω.
  const double w = 0.375;
  for (double angle : {1e-12, 1e-9, 1e-6, 3e-4, 9.9e-4, 1.1e-3, 1e-2, 1.0, 3.0, 3.14, 3.14159}) {
    CAPTURE(angle);
    const std::vector<double> x = {2 * std::cos(angle), 2 * std::sin(angle)};
    const auto got = run_row<double>(feaug::slerp{.weight = static_cast<float>(w)}, x, {3, 0});
    const double at = w * angle;
    CHECK(got.out[0] == Approx(std::cos(at)).margin(1e-9));
    CHECK(got.out[1] == Approx(std::sin(at)).margin(1e-9));
    // |x| = 2: moving x by t along its tangent turns it by t / 2, and the output by w·t / 2.
    // |partner| = 3: likewise t / 3 and (1 − w)·t / 3.
    const double along = -std::sin(at) * 1 + std::cos(at) * 2;
    // Near opposite directions, gradients are about 1/(π − ω) and their relative error grows
    // likewise.
    const double margin = 1e-9 + 1e-15 / (1 + std::cos(angle));
    CHECK(got.dx[0] == Approx(-std::sin(angle) * w / 2 * along).margin(margin));
    CHECK(got.dx[1] == Approx(std::cos(angle) * w / 2 * along).margin(margin));
    CHECK(got.dp[0] == Approx(0).margin(margin));
    CHECK(got.dp[1] == Approx((1 - w) / 3 * along).margin(margin));
  }
}

TEST_CASE("slerp of zero, huge and tiny rows", "[augment][row_mix]") {
  const feaug::slerp mix{.weight = 0.25F};
  const double of_x = std::sin(0.25 * std::acos(0.0));
  const double of_p = std::sin(0.75 * std::acos(0.0));
  const auto lost = run_row<double>(mix, {0, 0, 0}, {3, 0, 4});
  all_close<double>(lost.out, {0.6 * of_p, 0, 0.8 * of_p});
  CHECK(lost.dx == std::vector<double>{0, 0, 0});
  all_close<double>(lost.dp, {-0.8 * of_p / 5, 2 * of_p / 5, 0.6 * of_p / 5});
  const auto nothing = run_row<float>(mix, {0, 0}, {0, 0});
  CHECK(nothing.out == std::vector<double>{0, 0});
  CHECK(nothing.dp == std::vector<double>{0, 0});
  const auto short_row = run_row<double>(mix, {0, 5e-13, 0}, {0, 0, 2});
  all_close<double>(short_row.out, {0, 0.5 * of_x, of_p});
  CHECK(short_row.dx == std::vector<double>{0, 0, 0});
  const auto small_partner = run_row<double>(mix, {0, 2, 0}, {0, 0, -1e-200});
  all_close<double>(small_partner.out, {0, of_x, 0});
  CHECK(small_partner.dp == std::vector<double>{0, 0, 0});
  // Other norms do not matter.
  const auto plain = run_row<double>(mix, {1, 2, -3}, {2, -1, 0.5});
  const auto scaled = run_row<double>(mix, {1e200, 2e200, -3e200}, {2e-9, -1e-9, 0.5e-9});
  all_close<double>(scaled.out, plain.out);
  for (std::size_t j = 0; j < 3; ++j) {
    CHECK(scaled.dx[j] * 1e200 == Approx(plain.dx[j]));
    CHECK(scaled.dp[j] * 1e-9 == Approx(plain.dp[j]));
  }
  const auto floats = run_row<float>(mix, {1e18, 2e18, -3e18}, {2e-9, -1e-9, 0.5e-9});
  all_close<float>(floats.out, plain.out);
}

TEST_CASE("exchange_moments of constant, huge and tiny rows", "[augment][row_mix]") {
  const feaug::exchange_moments mix{.eps = 1e-5};
  // x is constant: the output is the partner's mean, also if sums of x are not exact.
  for (double level : {0.0, 0.1, -7.0, 1e18}) {
    const auto flat = run_row<double>(mix, std::vector<double>(7, level), {1, 2, 3, 4, 5, 6, 7});
    for (double v : flat.out) CHECK(v == 4.0);
    for (double v : flat.dp) CHECK(v == Approx(4.0));  // the mean of g
  }
  // The partner is constant: x shrinks to a deviation that depends on eps.
  const auto shrunk = run_row<double>(mix, {-1, 1}, {5, 5});
  const double deviation = std::sqrt(1e-5) / std::sqrt(1 + 1e-5);
  all_close<double>(shrunk.out, {5 - deviation, 5 + deviation});
  // One column: the output is the partner, independent of x.
  const auto single = run_row<double>(mix, {3}, {-2});
  CHECK(single.out == std::vector<double>{-2});
  CHECK(single.dx == std::vector<double>{0});
  CHECK(single.dp == std::vector<double>{1});
  // Huge elements, whose squares overflow.
  const auto far =
      run_row<double>(feaug::exchange_moments{.eps = 1e-300}, {1e200, 2e200, 6e200}, {-1, 0, 4});
  all_close<double>(far.out, {-1, 0, 4});
  for (double v : far.dx) CHECK(std::isfinite(v));
  const auto large = run_row<double>(mix, {-1, 0, 4}, {1e200, 2e200, 6e200});
  CHECK(large.out[2] == Approx(6e200));
  // Deviations −2, −1, 3 and g = 1, 2, 3: the gradient is g − 2 minus its projection on the
  // deviations.
  CHECK(large.dx[0] == Approx(1e200 * (1 - 2 + 2 * 5 / 14.0)).epsilon(1e-5));
  const auto floats = run_row<float>(mix, {1e18, 2e18, 6e18}, {-1e18, 0, 4e18});
  all_close<float>(floats.out, {-1e18, 0, 4e18});
  const auto tiny = run_row<double>(mix, {1e-200, -1e-200}, {2, 2});
  all_close<double>(tiny.out, {2, 2});
}

TEST_CASE("row mixes: no rows, one row, NaN and infinity affect the rows that read them",
          "[augment][row_mix]") {
  cpu_context ctx{.threads = 2};
  const double infinity = std::numeric_limits<double>::infinity();
  const auto check = [&](const auto& mix) {
    test_matrix<float> none(0, 5);
    test_matrix<float> no_columns(3, 0);
    CHECK_NOTHROW(feaug::augment(ctx, mix, none.view(), key, test_matrix<float>(0, 5).view()));
    CHECK_NOTHROW(
        feaug::augment(ctx, mix, no_columns.view(), key, test_matrix<float>(3, 0).view()));
    for (double bad : {not_a_number, infinity, -infinity}) {
      const auto in_x = run_row<double>(mix, {1, bad, 2}, {3, 1, 5});
      const auto in_partner = run_row<double>(mix, {1, 4, 2}, {3, bad, 5});
      for (const auto& row : {in_x, in_partner}) {
        all_nan(row.out);
        all_nan(row.dx);
      }
      const auto with_zeros = run_row<double>(mix, {0, 0, 0}, {3, bad, 5});
      all_nan(with_zeros.out);
      // In a batch: the row itself, and the row whose partner it is.
      auto x = test_matrix<double>::normal(9, 4, 1);
      const auto clean = augmented(mix, x);
      x.set(3, 2, bad);
      const auto out = augmented(mix, x);
      int rows = 0;
      for (std::size_t i = 0; i < 9; ++i) {
        const bool is_nan = std::isnan(out[4 * i]);
        rows += is_nan ? 1 : 0;
        for (std::size_t j = 4 * i; j < 4 * i + 4; ++j)
          CHECK((is_nan ? std::isnan(out[j]) : out[j] == clean[j]));
      }
      CHECK(std::isnan(out[12]));
      CHECK((rows == 1 || rows == 2));
    }
  };
  check(feaug::slerp{});
  check(feaug::exchange_moments{});
  const auto one = test_matrix<double>::normal(1, 6, 1);  // a single row is its own partner
  all_close<double>(augmented(feaug::exchange_moments{}, one), one.values());
  test_matrix<double> unit(1, 6);
  feaug::l2_normalize(ctx, one.view(), unit.view());
  all_close<double>(augmented(feaug::slerp{}, one), unit.values());
}

TEST_CASE("row mixes report invalid arguments before they write", "[augment][row_mix]") {
  const auto x = test_matrix<float>::normal(3, 5, 1);
  test_matrix<float> out(3, 5);
  out.fill(9.0);
  cpu_context ctx{.threads = 1};
  const auto said = [&](const auto& policy) {
    const std::string forward =
        testing::message_of([&] { feaug::augment(ctx, policy, x.view(), key, out.view()); });
    CHECK(testing::message_of([&] {
            feaug::augment_backward(ctx, policy, differentiable(x.view(), out.view()), key,
                                    x.view());
          }) == forward);
    CHECK(out.values() == std::vector<double>(15, 9.0));
    return forward;
  };
  CHECK(said(feaug::slerp{.weight = 1.5F}) ==
        "slerp: weight: got 1.5, wanted a weight from 0 to 1");
  CHECK(said(feaug::slerp{.distribution = feaug::weight_distribution::beta, .beta = -1}) ==
        "slerp: beta: got -1, wanted a finite number above 0");
  CHECK(said(feaug::slerp{
            .distribution = feaug::weight_distribution::uniform, .low = 0.5F, .high = 0.25F}) ==
        "slerp: high: got 0.25, wanted at least low = 0.5");
  CHECK(said(feaug::exchange_moments{.eps = 0}) ==
        "exchange_moments: eps: got 0, wanted a finite number above 0");
  CHECK(said(feaug::exchange_moments{.eps = not_a_number}) ==
        "exchange_moments: eps: got nan, wanted a finite number above 0");
  const auto partner = test_matrix<float>::normal(3, 5, 2);
  const auto narrow = test_matrix<float>::normal(3, 4, 2);
  CHECK(said(feaug::with_partner(feaug::exchange_moments{.eps = -1}, partner.view())) ==
        "exchange_moments: eps: got -1, wanted a finite number above 0");
  CHECK(said(feaug::with_partner(feaug::exchange_moments{}, narrow.view())) ==
        "exchange_moments: partner: got shape (3, 4), wanted shape (3, 5) as x");
  CHECK(said(feaug::with_partner(feaug::slerp{.weight = -1}, partner.view())) ==
        "slerp: weight: got -1, wanted a weight from 0 to 1");
  const std::vector<float> weights = {0.5F, -0.5F, 0.5F};
  CHECK(said(feaug::with_weights(feaug::slerp{}, stop_gradient(partner.view()),
                                 {weights.data(), 3})) ==
        "slerp: weights: got -0.5 in row 1, wanted a weight from 0 to 1");
  std::vector<index_t> permutation(3, 5);
  CHECK(testing::message_of([&] {
          feaug::draw(ctx, feaug::exchange_moments{}, key, feaug::vector_view<index_t>(nullptr, 3));
        }) ==
        "draw: permutation: got a null pointer with shape (3), wanted a pointer to its elements");
  CHECK(testing::message_of([&] {
          feaug::draw(ctx, feaug::exchange_moments{.eps = 0}, key,
                      feaug::vector_view<index_t>(permutation.data(), 3));
        }) == "exchange_moments: eps: got 0, wanted a finite number above 0");
  CHECK(permutation == std::vector<index_t>(3, 5));
}

}  // namespace row_mix_test
