// covariance_noise and its states compared with plain loops (means, covariances, factors, noise);
// semi-definite states, checkpoints, given draws, edge cases, error messages.
#include "feaug/cpu/augment/covariance_noise.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "feaug/augment/one_of.hpp"
#include "support/covariance_memory.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace covariance_noise_test {

using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::random_key;
using testing::covariance_memory;
using testing::message_of;
using testing::test_matrix;
using testing::variance_memory;

namespace {

constexpr random_key key{.seed = 11, .step = 5, .stream = 2, .row_offset = 3};
const double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// Mean and biased covariance of all rows, in two plain passes.
struct moments {
  std::vector<double> mean;
  std::vector<double> covariance;
};

template <class T>
moments moments_of(const std::vector<test_matrix<T>>& batches) {
  const index_t cols = batches[0].cols();
  const auto d = static_cast<std::size_t>(cols);
  moments found{std::vector<double>(d), std::vector<double>(d * d)};
  double count = 0;
  for (const auto& batch : batches) {
    count += static_cast<double>(batch.rows());
    for (index_t i = 0; i < batch.rows(); ++i) {
      for (index_t j = 0; j < cols; ++j) found.mean[static_cast<std::size_t>(j)] += batch.get(i, j);
    }
  }
  for (double& m : found.mean) m /= count;
  for (const auto& batch : batches) {
    for (index_t i = 0; i < batch.rows(); ++i) {
      for (std::size_t a = 0; a < d; ++a) {
        for (std::size_t b = 0; b < d; ++b) {
          found.covariance[a * d + b] += (batch.get(i, static_cast<index_t>(a)) - found.mean[a]) *
                                         (batch.get(i, static_cast<index_t>(b)) - found.mean[b]) /
                                         count;
        }
      }
    }
  }
  return found;
}

/// The moving state after two batches.
moments moved(const moments& first, const moments& second, double momentum) {
  moments now = first;
  const std::size_t d = first.mean.size();
  for (std::size_t a = 0; a < d; ++a) {
    now.mean[a] = momentum * first.mean[a] + (1 - momentum) * second.mean[a];
    for (std::size_t b = 0; b < d; ++b) {
      now.covariance[a * d + b] = momentum * first.covariance[a * d + b] +
                                  (1 - momentum) * second.covariance[a * d + b] +
                                  momentum * (1 - momentum) * (second.mean[a] - first.mean[a]) *
                                      (second.mean[b] - first.mean[b]);
    }
  }
  return now;
}

/// factor·factorᵀ; checks that the upper triangle of factor is 0.
std::vector<double> squared(const test_matrix<double>& factor) {
  const index_t d = factor.rows();
  std::vector<double> product;
  for (index_t i = 0; i < d; ++i) {
    for (index_t j = 0; j < d; ++j) {
      if (j > i) CHECK(factor.get(i, j) == 0.0);
      double sum = 0;
      for (index_t k = 0; k < d; ++k) sum += factor.get(i, k) * factor.get(j, k);
      product.push_back(sum);
    }
  }
  return product;
}

std::vector<double> with_ridge(std::vector<double> covariance, std::size_t d, double ridge) {
  double trace = 0;
  for (std::size_t j = 0; j < d; ++j) trace += covariance[j * d + j];
  for (std::size_t j = 0; j < d; ++j)
    covariance[j * d + j] += ridge * trace / static_cast<double>(d);
  return covariance;
}

void check_state(const covariance_memory& state, const moments& want, double ridge,
                 double tolerance = 1e-12) {
  const std::size_t d = want.mean.size();
  CHECK(testing::relative_error(state.mean, want.mean) < tolerance);
  CHECK(testing::relative_error(state.covariance.values(), want.covariance) < tolerance);
  CHECK(testing::relative_error(squared(state.factor), with_ridge(want.covariance, d, ridge)) <
        tolerance);
  CHECK((state.covariance.padding_intact() && state.factor.padding_intact()));
}

template <class T, class Policy>
std::vector<double> augmented(const Policy& policy, const test_matrix<T>& x,
                              const random_key& with = key, int threads = 1) {
  cpu_context ctx{.threads = threads};
  test_matrix<T> out(x.rows(), x.cols(), 3);
  feaug::augment(ctx, policy, x.view(), with, out.view());
  CHECK(out.padding_intact());
  return out.values();
}

/// The state after correlated features, D = 5.
covariance_memory seen(index_t cols = 5, unsigned seed = 8) {
  auto x = test_matrix<double>::normal(40, cols, seed);
  for (index_t i = 0; i < 40; ++i) {
    for (index_t j = 1; j < cols; ++j) x.set(i, j, x.get(i, j) + 0.8 * x.get(i, j - 1));
  }
  covariance_memory state(cols);
  cpu_context ctx{.threads = 1};
  feaug::update_covariance(ctx, state.view(), x.view());
  return state;
}

}  // namespace

TEMPLATE_TEST_CASE("a running covariance equals the covariance of all rows seen",
                   "[augment][covariance]", double, float, feaug::half, feaug::bfloat16) {
  for (const index_t cols : {index_t{1}, index_t{7}, index_t{70}}) {
    CAPTURE(cols);
    const double ridge = cols == 70 ? 0.01 : 1e-6;
    std::vector<test_matrix<TestType>> batches;
    for (const index_t rows : {index_t{1}, index_t{9}, index_t{83}}) {
      batches.push_back(test_matrix<TestType>::normal(rows, cols, static_cast<unsigned>(rows), 2));
    }
    covariance_memory all(cols);
    covariance_memory moving(cols);
    variance_memory variances(cols);
    cpu_context ctx{.threads = 2};
    std::vector<test_matrix<TestType>> so_far;
    moments mean_so_far;
    for (const auto& batch : batches) {
      so_far.push_back(batch);
      feaug::update_covariance(ctx, all.view(), batch.view(), {.ridge = ridge});
      feaug::update_covariance(ctx, variances.view(), batch.view(), {.ridge = ridge});
      feaug::update_covariance(ctx, moving.view(), batch.view(),
                               {.momentum = 0.75, .ridge = ridge});
      const moments of_batch = moments_of<TestType>({batch});
      mean_so_far = so_far.size() == 1 ? of_batch : moved(mean_so_far, of_batch, 0.75);
      check_state(all, moments_of(so_far), ridge);
      check_state(moving, mean_so_far, ridge);
      // The diagonal variant.
      const auto d = static_cast<std::size_t>(cols);
      const auto whole = with_ridge(all.covariance.values(), d, ridge);
      for (std::size_t j = 0; j < d; ++j) {
        CHECK(variances.mean[j] == Approx(all.mean[j]).margin(1e-14));
        CHECK(variances.variance[j] ==
              Approx(all.covariance.get(static_cast<index_t>(j), static_cast<index_t>(j)))
                  .margin(1e-14));
        CHECK(variances.deviation[j] == Approx(std::sqrt(whole[j * d + j])).margin(1e-14));
      }
    }
    CHECK((all.count == 93 && moving.count == 93 && variances.count == 93));
  }
}

TEST_CASE("covariances have the same bits for any number of threads", "[augment][covariance]") {
  const auto x = test_matrix<float>::normal(150, 133, 3);
  std::vector<double> first;
  for (int threads = 1; threads <= 3; ++threads) {
    cpu_context ctx{.threads = threads};
    covariance_memory state(133);
    feaug::update_covariance(ctx, state.view(), x.view());
    feaug::update_covariance(ctx, state.view(), x.view().rows_from(0, 50), {.momentum = 0.5});
    std::vector<double> all = state.covariance.values();
    for (double v : state.factor.values()) all.push_back(v);
    for (double v : augmented(feaug::covariance_noise(state.view()), x, key, threads))
      all.push_back(v);
    if (threads == 1) first = all;
    CHECK(all == first);
  }
}

TEST_CASE("factors of semi-definite covariances", "[augment][covariance]") {
  cpu_context ctx{.threads = 2};
  // Fewer rows than features, a duplicated feature, a constant one, very different scales.
  auto x = test_matrix<double>::normal(6, 40, 4);
  for (index_t i = 0; i < 6; ++i) {
    x.set(i, 3, x.get(i, 1));
    x.set(i, 5, 7.0);
    x.set(i, 8, 1e-6 * x.get(i, 8));
    x.set(i, 9, 1e6 * x.get(i, 9));
  }
  for (const double ridge : {0.0, 1e-6, 1.0}) {
    CAPTURE(ridge);
    covariance_memory state(40);
    feaug::update_covariance(ctx, state.view(), x.view(), {.ridge = ridge});
    check_state(state, moments_of<double>({x}), ridge, 1e-9);
  }
  // Without a ridge, noise stays in the span of the rows: duplicated features get equal noise, the
  // constant feature gets none.
  covariance_memory state(40);
  feaug::update_covariance(ctx, state.view(), x.view(), {.ridge = 0});
  test_matrix<double> zeros(50, 40);
  const auto noise = augmented(feaug::covariance_noise(state.view()), zeros);
  for (std::size_t i = 0; i < 50; ++i) {
    CHECK(noise[40 * i + 3] == Approx(noise[40 * i + 1]).margin(1e-12));
    CHECK(noise[40 * i + 5] == 0.0);
  }
  // Zero variance: no noise, and no division by zero.
  covariance_memory still(4);
  test_matrix<double> ones(3, 4);
  ones.fill(1.0);
  feaug::update_covariance(ctx, still.view(), ones.view());
  CHECK(still.factor.values() == std::vector<double>(16, 0.0));
}

TEMPLATE_TEST_CASE("covariance noise is the factor times standard normal draws",
                   "[augment][covariance]", double, float, feaug::half, feaug::bfloat16) {
  using T = TestType;
  const auto x = test_matrix<T>::normal(21, 5, 3, 2);
  covariance_memory state = seen();
  variance_memory independent(5);
  cpu_context ctx{.threads = 2};
  feaug::update_covariance(ctx, independent.view(), x.view(), {.ridge = 0});
  std::vector<double> want;
  std::vector<double> want_independent;
  for (index_t i = 0; i < 21; ++i) {
    for (index_t j = 0; j < 5; ++j) {
      double noise = 0;
      for (index_t k = 0; k < 5; ++k)
        noise += state.factor.get(j, k) * static_cast<double>(feaug::draw_normal(key, i, k));
      want.push_back(x.get(i, j) + 0.5 * noise);
      want_independent.push_back(x.get(i, j) +
                                 0.25 * independent.deviation[static_cast<std::size_t>(j)] *
                                     static_cast<double>(feaug::draw_normal(key, i, j)));
    }
  }
  const auto policy = feaug::covariance_noise(state.view(), 0.5F);
  CHECK(testing::relative_error(augmented(policy, x), want) < testing::tolerance<T>());
  const auto cheap = feaug::covariance_noise(independent.view(), 0.25F);
  CHECK(testing::relative_error(augmented(cheap, x), want_independent) < testing::tolerance<T>());
  using policy_type = feaug::covariance_noise_policy<feaug::running_covariance<>>;
  CHECK(feaug::stream_count<policy_type> == 1);

  // The noise given as an input has the same result; the same bits if T stores it exactly.
  test_matrix<T> drawn(21, 5, 1);
  for (const auto& [scale, both] : {std::pair{0.5F, true}, std::pair{0.25F, false}}) {
    if (both) {
      feaug::draw(ctx, policy, key, drawn.view());
    } else {
      feaug::draw(ctx, cheap, key, drawn.view());
    }
    const auto given = augmented(feaug::noise_from(drawn.view(), scale), x);
    const auto own = both ? augmented(policy, x) : augmented(cheap, x);
    CHECK(testing::relative_error(given, own) <= testing::tolerance<T>());
    if (sizeof(T) >= 4) CHECK(given == own);
  }

  // The gradient equals the cotangent g.
  const auto g = test_matrix<T>::normal(21, 5, 4);
  test_matrix<T> dx(21, 5, 2);
  dx.fill(not_a_number);
  feaug::augment_backward(ctx, policy, differentiable(x.view(), dx.view()), key, g.view());
  CHECK(dx.values() == g.values());
}

TEST_CASE("rows chosen by one_of get the same noise as in the whole batch",
          "[augment][covariance]") {
  const auto x = test_matrix<float>::normal(60, 9, 3);
  covariance_memory state = seen(9);
  const auto policy = feaug::covariance_noise(state.view());
  // one_of reserves the first stream for its choice, whether drawn or given.
  const auto later = augmented(policy, x, key.streams_later(1));
  std::vector<index_t> choice(60);
  for (std::size_t i = 0; i < 60; ++i) choice[i] = i % 3 == 0 ? 0 : 1;
  const feaug::vector_view<const index_t> chosen(choice.data(), 60);
  const auto some = augmented(feaug::one_of_from(chosen, policy, feaug::identity{}), x);
  for (std::size_t i = 0; i < 60; ++i) {
    for (std::size_t j = 0; j < 9; ++j) {
      const double unchanged = x.get(static_cast<index_t>(i), static_cast<index_t>(j));
      CHECK(some[9 * i + j] == (i % 3 == 0 ? later[9 * i + j] : unchanged));
    }
  }
}

TEST_CASE("covariance noise has the covariance of its state", "[augment][covariance]") {
  covariance_memory state = seen(3);
  test_matrix<double> zeros(20000, 3);
  test_matrix<double> noise(20000, 3);
  cpu_context ctx{.threads = 2};
  feaug::augment(ctx, feaug::covariance_noise(state.view(), 2.0F), zeros.view(), key, noise.view());
  const moments found = moments_of<double>({noise});
  for (std::size_t i = 0; i < 9; ++i)
    CHECK(found.covariance[i] == Approx(4 * state.covariance.values()[i]).margin(0.15));
}

TEST_CASE("a state continues from its bytes, ignores empty batches, and propagates NaN",
          "[augment][covariance]") {
  cpu_context ctx{.threads = 1};
  const auto x = test_matrix<float>::normal(12, 6, 3);
  covariance_memory state(6);
  feaug::update_covariance(ctx, state.view(), x.view());
  covariance_memory restored = state;
  feaug::update_covariance(ctx, state.view(), x.view().rows_from(2, 5));
  feaug::update_covariance(ctx, restored.view(), x.view().rows_from(2, 5));
  CHECK(restored.factor.values() == state.factor.values());
  feaug::update_covariance(ctx, restored.view(), x.view().rows_from(0, 0));
  CHECK((restored.count == 17 && restored.factor.values() == state.factor.values()));
  // A momentum of 1 keeps the state, 0 replaces it.
  feaug::update_covariance(ctx, restored.view(), x.view(), {.momentum = 1});
  CHECK(restored.covariance.values() == state.covariance.values());
  feaug::update_covariance(ctx, restored.view(), x.view(), {.momentum = 0});
  check_state(restored, moments_of<float>({x}), 1e-6);

  test_matrix<float> none(0, 6);
  CHECK_NOTHROW(
      feaug::augment(ctx, feaug::covariance_noise(state.view()), none.view(), key, none.view()));
  auto broken = x;
  broken.set(3, 2, not_a_number);
  const auto out = augmented(feaug::covariance_noise(state.view()), broken);
  for (std::size_t i = 0; i < out.size(); ++i) CHECK(std::isnan(out[i]) == (i == 3 * 6 + 2));
  feaug::update_covariance(ctx, state.view(), broken.view());
  CHECK((std::isnan(state.mean[2]) && std::isfinite(state.mean[1])));
  CHECK(std::isnan(state.covariance.get(2, 5)));
  CHECK(std::isfinite(state.covariance.get(1, 5)));
  for (double v : augmented(feaug::covariance_noise(state.view()), x)) CHECK(std::isnan(v));
}

TEST_CASE("update_covariance and covariance_noise report invalid arguments before they write",
          "[augment][covariance][misuse]") {
  cpu_context ctx{.threads = 1};
  const auto x = test_matrix<float>::normal(4, 3, 1);
  const auto said = [&](const auto& change, const feaug::covariance_options& options = {}) {
    covariance_memory memory(3);
    auto view = memory.view();
    change(view);
    const std::string message =
        message_of([&] { feaug::update_covariance(ctx, view, x.view(), options); });
    CHECK((memory.count == 0 && std::isnan(memory.mean[0]) &&
           std::isnan(memory.covariance.get(0, 0)) && std::isnan(memory.factor.get(0, 0))));
    return message;
  };
  const auto nothing = [](auto& /*view*/) {};
  const std::string op = "update_covariance: ";
  CHECK(said([](auto& v) { v.mean.data = nullptr; }) ==
        op + "state.mean: got a null pointer with shape (3), wanted a pointer to its elements");
  CHECK(said([](auto& v) { v.mean.extents[0] = 2; }) ==
        op + "state.mean: got 2 elements, wanted 3 (the columns of x)");
  CHECK(said([](auto& v) { v.covariance.extents[0] = 2; }) ==
        op + "state.covariance: got shape (2, 3), wanted shape (3, 3) as the columns of x");
  CHECK(said([](auto& v) { v.factor.extents[1] = 2; }) ==
        op + "state.factor: got shape (3, 2), wanted shape (3, 3) as the columns of x");
  CHECK(said([](auto& v) { v.factor = v.covariance; }) ==
        op + "state.covariance: got memory that overlaps state.factor, wanted memory of its own");
  CHECK(said([](auto& v) {
          v.mean = {v.factor.data, 3};
        }) == op + "state.mean: got memory that overlaps state.factor, wanted memory of its own");
  CHECK(said([](auto& v) { v.count = nullptr; }) ==
        op + "state.count: got a null pointer, wanted a counter in the host's memory");
  CHECK(said(nothing, {.momentum = 1.5}) == op + "momentum: got 1.5, wanted a number from 0 to 1");
  CHECK(said(nothing, {.momentum = not_a_number}) ==
        op + "momentum: got nan, wanted a number from 0 to 1");
  CHECK(said(nothing, {.ridge = -1}) == op + "ridge: got -1, wanted a finite number of at least 0");
  CHECK(said(nothing, {.ridge = std::numeric_limits<double>::infinity()}) ==
        op + "ridge: got inf, wanted a finite number of at least 0");
  index_t before = -2;
  CHECK(said([&](auto& v) { v.count = &before; }) ==
        op + "state.count: got -2, wanted a number of at least 0");

  variance_memory variances(3);
  auto view = variances.view();
  view.deviation = view.variance;
  CHECK(message_of([&] { feaug::update_covariance(ctx, view, x.view()); }) ==
        op + "state.variance: got memory that overlaps state.deviation, wanted memory of its own");
  view = variances.view();
  view.variance.extents[0] = 4;
  CHECK(message_of([&] { feaug::update_covariance(ctx, view, x.view()); }) ==
        op + "state.variance: got 4 elements, wanted 3 (the columns of x)");

  // Error messages of the augmentation.
  covariance_memory fresh(3);
  test_matrix<float> out(4, 3);
  out.fill(9.0);
  const auto forward = [&](const auto& policy) {
    return message_of([&] { feaug::augment(ctx, policy, x.view(), key, out.view()); });
  };
  const std::string unseen =
      "covariance_noise: state: got no rows seen, wanted at least one (update_covariance)";
  CHECK(forward(feaug::covariance_noise(fresh.view())) == unseen);
  CHECK(forward(feaug::covariance_noise(variances.view())) == unseen);
  CHECK(message_of([&] {
          feaug::draw(ctx, feaug::covariance_noise(fresh.view()), key, out.view());
        }) == unseen);
  covariance_memory state = seen(3);
  CHECK(forward(feaug::covariance_noise(state.view(), -1.0F)) ==
        "covariance_noise: scale: got -1, wanted a finite number of at least 0");
  covariance_memory other = seen(4);
  CHECK(forward(feaug::covariance_noise(other.view())) ==
        "covariance_noise: state.mean: got 4 elements, wanted 3 (the columns of x)");
  CHECK(out.values() == std::vector<double>(12, 9.0));
  covariance_memory own = seen(3);
  const auto same = test_matrix<double>::normal(3, 3, 1);
  CHECK(message_of([&] {
          feaug::augment(ctx, feaug::covariance_noise(own.view()), same.view(), key,
                         own.factor.view());
        }) ==
        "covariance_noise: out: got memory that overlaps state.factor, wanted memory of its own");
}

}  // namespace covariance_noise_test
