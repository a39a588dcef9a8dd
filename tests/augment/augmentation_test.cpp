// Augmentations compared with their formulas, with drawn and with given random values; edge cases.
#include "feaug/cpu/augment/augmentation.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "feaug/feaug.hpp"
#include "support/automatic_gradient.hpp"
#include "support/test_matrix.hpp"

namespace augmentation_test {

using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::random_key;
using feaug::stop_gradient;
using testing::test_matrix;

namespace {

constexpr random_key key{.seed = 11, .step = 5, .stream = 2};

/// A support queue with its own memory.
struct queue_of {
  test_matrix<double> storage = test_matrix<double>::normal(9, 5, 77);
  index_t cursor = 0;
  index_t size = 9;
  feaug::support_queue<double> view() {
    return {.storage = storage.view(), .cursor = &cursor, .size = &size, .normalize = false};
  }
};

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

TEMPLATE_TEST_CASE("a mask policy equals mask_from with its draw", "[augment]", double, float,
                   feaug::half, feaug::bfloat16) {
  const auto x = test_matrix<TestType>::normal(7, 9, 3, 2);
  cpu_context ctx{.threads = 2};
  test_matrix<TestType> drawn(7, 9);
  const auto rescale = GENERATE(feaug::rescale::none, feaug::rescale::row);
  const feaug::mask bernoulli{.keep_probability = 0.5F, .rescale = rescale};
  feaug::draw(ctx, bernoulli, key, drawn.view());
  CHECK(augmented(bernoulli, x) == augmented(feaug::mask_from(drawn.view(), rescale), x));
  const std::vector<double> masked = augmented(bernoulli, x);
  for (index_t i = 0; i < 7; ++i) {
    double kept = 0;
    for (index_t j = 0; j < 9; ++j) kept += drawn.get(i, j);
    const double factor = rescale == feaug::rescale::row ? 9 / std::max(kept, 1.0) : 1.0;
    for (index_t j = 0; j < 9; ++j) {
      CHECK(masked[static_cast<std::size_t>(i * 9 + j)] ==
            Approx(x.get(i, j) * drawn.get(i, j) * factor)
                .epsilon(testing::tolerance<TestType>() * 4)
                .margin(1e-30));
    }
  }
  const feaug::gaussian_noise noise{.scale = 0.1F, .relative_to = feaug::noise_scale::row_norm};
  const std::vector<double> noisy = augmented(noise, x);
  for (index_t i = 0; i < 7; ++i) {
    double squares = 0;
    for (index_t j = 0; j < 9; ++j) squares += x.get(i, j) * x.get(i, j);
    for (index_t j = 0; j < 9; ++j) {
      const double want = x.get(i, j) + 0.1 * std::sqrt(squares) *
                                            static_cast<double>(feaug::draw_normal(key, i, j));
      CHECK(noisy[static_cast<std::size_t>(i * 9 + j)] ==
            Approx(want).epsilon(testing::tolerance<TestType>()).margin(5e-3));
    }
  }
}

TEST_CASE("noise and mix policies equal the same operation with given draws", "[augment]") {
  const auto x = test_matrix<float>::normal(8, 6, 3);
  cpu_context ctx{.threads = 1};
  test_matrix<float> epsilon(8, 6);
  feaug::draw(ctx, feaug::uniform_noise{}, key, epsilon.view());
  CHECK(augmented(feaug::uniform_noise{.scale = 0.2F}, x) ==
        augmented(feaug::noise_from(epsilon.view(), 0.2F), x));
  for (double e : epsilon.values()) CHECK(std::abs(e) <= 1.0);

  const feaug::interpolate mix{
      .distribution = feaug::weight_distribution::beta, .alpha = 0.5F, .beta = 1.5F};
  std::vector<float> weights(8);
  std::vector<index_t> permutation(8);
  feaug::draw(ctx, mix, key, feaug::vector_view<float>(weights.data(), 8),
              feaug::vector_view<index_t>(permutation.data(), 8));
  test_matrix<float> partner(8, 6);
  for (index_t i = 0; i < 8; ++i) {
    for (index_t j = 0; j < 6; ++j)
      partner.set(i, j, x.get(permutation[static_cast<std::size_t>(i)], j));
  }
  CHECK(augmented(mix, x) ==
        augmented(feaug::with_weights(mix, stop_gradient(partner.view()), {weights.data(), 8}), x));
}

TEST_CASE("kept counts, dropped blocks, and weights in their ranges", "[augment]") {
  test_matrix<float> ones(200, 10);
  ones.fill(1.0);
  const auto kept_of = [&](const std::vector<double>& out, index_t row) {
    std::vector<index_t> kept;
    for (index_t j = 0; j < 10; ++j) {
      if (out[static_cast<std::size_t>(row * 10 + j)] != 0) kept.push_back(j);
    }
    return kept;
  };
  const auto counted = augmented(feaug::fixed_count_mask{.keep_count = 4}, ones);
  const auto blocked = augmented(feaug::block_mask{.block_length = 3}, ones);
  std::vector<int> times_kept(10);
  for (index_t i = 0; i < 200; ++i) {
    const auto kept = kept_of(counted, i);
    CHECK(kept.size() == 4);
    for (index_t j : kept) ++times_kept[static_cast<std::size_t>(j)];
    index_t dropped = -1;
    for (index_t j = 0; j < 10; ++j) {
      if (blocked[static_cast<std::size_t>(i * 10 + j)] == 0 && dropped < 0) dropped = j;
    }
    CHECK(kept_of(blocked, i).size() == 7);
    for (index_t j = dropped; j < dropped + 3; ++j)
      CHECK(blocked[static_cast<std::size_t>(i * 10 + j)] == 0);
  }
  for (int times : times_kept) CHECK(std::abs(times - 80) < 35);
  for (double w : augmented(feaug::fixed_count_mask{.keep_count = 0}, ones)) CHECK(w == 0);
  for (double w : augmented(feaug::mask{.keep_probability = 1}, ones)) CHECK(w == 1);

  test_matrix<double> zeros(300, 1);
  test_matrix<double> unit(300, 1);
  unit.fill(1.0);
  // x = 1 and partner 0, so the output is the weight.
  const auto weights = [&](const auto& mix) {
    return augmented(feaug::with_partner(mix, zeros.view()), unit);
  };
  for (double w : weights(feaug::extrapolate{.distribution = feaug::weight_distribution::beta}))
    CHECK((w >= 1 && w <= 2));
  for (double w : weights(feaug::interpolate{
           .distribution = feaug::weight_distribution::uniform, .low = 0.25F, .high = 0.5F})) {
    CHECK((w >= 0.25 && w <= 0.5));
  }
  const auto shared = weights(feaug::interpolate{
      .distribution = feaug::weight_distribution::uniform, .per = feaug::draw_per::call});
  for (double w : shared) CHECK(w == shared[0]);
}

TEST_CASE("another step gives other draws", "[augment]") {
  const auto x = test_matrix<float>::normal(40, 37, 3);
  const auto policy = feaug::compose(
      feaug::one_of({0.5F, 0.5F}, feaug::mask{}, feaug::fixed_count_mask{.keep_count = 9}),
      feaug::gaussian_noise{}, feaug::block_mask{.block_length = 4});
  CHECK(augmented(policy, x, {.seed = 11, .step = 6, .stream = 2}) != augmented(policy, x));
}

TEST_CASE("the output can overwrite the partner", "[augment]") {
  const auto x = test_matrix<double>::normal(4, 3, 1);
  auto partner = test_matrix<double>::normal(4, 3, 2);
  cpu_context ctx{.threads = 1};
  const auto policy = feaug::with_partner(feaug::interpolate{.weight = 0.75F}, partner.view());
  const std::vector<double> want = augmented(policy, x);
  feaug::augment(ctx, policy, x.view(), key, partner.view());
  CHECK(partner.values() == want);
}

TEST_CASE("neighbour: value, straight-through gradient, empty queue, fallback, NaN", "[augment]") {
  queue_of queue;
  const auto x = test_matrix<double>::normal(6, 5, 4);
  cpu_context ctx{.threads = 1};
  std::vector<index_t> found(6, -7);
  const auto out =
      augmented(feaug::neighbour_from(queue.view(), {}, {.indices = {found.data(), 6}}), x);
  for (index_t i = 0; i < 6; ++i) {
    double best = -2;
    index_t at = -1;
    for (index_t slot = 0; slot < 9; ++slot) {
      double dot = 0;
      double norm = 0;
      for (index_t j = 0; j < 5; ++j) {
        dot += x.get(i, j) * queue.storage.get(slot, j);
        norm += queue.storage.get(slot, j) * queue.storage.get(slot, j);
      }
      if (dot / std::sqrt(norm) > best) {
        best = dot / std::sqrt(norm);
        at = slot;
      }
    }
    CHECK(found[static_cast<std::size_t>(i)] == at);
    double norm = 0;
    for (index_t j = 0; j < 5; ++j) norm += queue.storage.get(at, j) * queue.storage.get(at, j);
    for (index_t j = 0; j < 5; ++j) {
      CHECK(out[static_cast<std::size_t>(i * 5 + j)] ==
            Approx(queue.storage.get(at, j) / std::sqrt(norm)));
    }
  }
  const auto g = test_matrix<double>::normal(6, 5, 5);
  test_matrix<double> d(6, 5);
  feaug::augment_backward(
      ctx,
      feaug::neighbour_from(queue.view(),
                            {.gradient = feaug::neighbour_gradient::straight_through}),
      differentiable(x.view(), d.view()), key, g.view());
  CHECK(d.values() == g.values());
  queue.size = 0;
  CHECK_THROWS_WITH(augmented(feaug::neighbour_from(queue.view()), x),
                    Catch::Matchers::Contains("neighbour: queue: got no filled rows"));
  const auto alone = augmented(
      feaug::neighbour_from(queue.view(), {.fallback = feaug::neighbour_fallback::query}), x);
  double norm = 0;
  for (index_t j = 0; j < 5; ++j)
    norm += alone[static_cast<std::size_t>(j)] * alone[static_cast<std::size_t>(j)];
  CHECK(norm == Approx(1.0));
  queue.size = 9;
  auto broken = x;
  broken.set(2, 1, std::numeric_limits<double>::quiet_NaN());
  const auto with_nan = augmented(feaug::neighbour_from(queue.view()), broken);
  CHECK((std::isnan(with_nan[10]) && std::isnan(with_nan[14]) && std::isfinite(with_nan[9]) &&
         std::isfinite(with_nan[15])));
}

TEST_CASE("augmentations: no rows, one row, NaN affects only its element", "[augment]") {
  cpu_context ctx{.threads = 2};
  const auto policy = feaug::compose(feaug::mask{}, feaug::gaussian_noise{});
  test_matrix<float> none(0, 5);
  CHECK_NOTHROW(feaug::augment(ctx, policy, none.view(), key, none.view()));
  CHECK_NOTHROW(
      feaug::augment(ctx, feaug::interpolate{}, none.view(), key, test_matrix<float>(0, 5).view()));
  const auto one = test_matrix<float>::normal(1, 1, 1);
  CHECK(augmented(feaug::interpolate{}, one) == one.values());
  auto x = test_matrix<float>::normal(5, 7, 1);
  x.set(3, 2, std::numeric_limits<double>::quiet_NaN());
  const auto out = augmented(policy, x);
  for (std::size_t i = 0; i < out.size(); ++i) CHECK(std::isnan(out[i]) == (i == 3 * 7 + 2));
}

TEST_CASE("l2_normalize: zero, huge, tiny and NaN rows, and gradient", "[l2_normalize]") {
  cpu_context ctx{.threads = 1};
  auto x = test_matrix<double>::normal(6, 4, 1);
  x.fill_row(1, 0.0);
  x.fill_row(2, 1e18);
  x.fill_row(3, -1e200);
  x.fill_row(4, 1e-13);
  x.set(5, 0, std::numeric_limits<double>::infinity());
  test_matrix<double> out(6, 4);
  feaug::l2_normalize(ctx, x.view(), out.view());
  for (index_t j = 0; j < 4; ++j) {
    CHECK(out.get(1, j) == 0.0);
    CHECK(out.get(2, j) == Approx(0.5));
    CHECK(out.get(3, j) == Approx(-0.5));
    CHECK(out.get(4, j) == Approx(0.1));
    CHECK(std::isnan(out.get(5, j)));
  }
  test_matrix<double> g(6, 4);
  g.fill(1.0);
  test_matrix<double> d(6, 4);
  feaug::l2_normalize_backward(ctx, differentiable(x.view(), d.view()), g.view());
  for (index_t j = 0; j < 4; ++j)
    CHECK((d.get(1, j) == 0.0 && d.get(4, j) == 0.0 && std::isfinite(d.get(3, j))));
  const auto small = test_matrix<double>::normal(3, 4, 2);
  const auto weights = test_matrix<double>::normal(3, 4, 3);
  test_matrix<double> got(3, 4);
  feaug::l2_normalize_backward(ctx, differentiable(small.view(), got.view()), weights.view());
  const auto want = testing::automatic_gradient(
      [&](const std::vector<testing::dual>& in) {
        testing::dual sum = in[0] * 0.0;
        for (std::size_t i = 0; i < 3; ++i) {
          testing::dual squares = in[4 * i] * in[4 * i];
          for (std::size_t j = 1; j < 4; ++j) squares += in[4 * i + j] * in[4 * i + j];
          for (std::size_t j = 0; j < 4; ++j) {
            sum += in[4 * i + j] / sqrt(squares) *
                   weights.get(static_cast<index_t>(i), static_cast<index_t>(j));
          }
        }
        return sum;
      },
      small.values());
  CHECK(testing::relative_error(got.values(), want.gradient) < 1e-13);
}

}  // namespace augmentation_test
