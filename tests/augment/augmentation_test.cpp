// Every augmentation against its formula, its gradient against the forward pass's slopes, draws
// taken and made, edges, bad arguments.
#include "feaug/cpu/augment/augmentation.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <variant>
#include <vector>

#include "feaug/feaug.hpp"
#include "support/automatic_gradient.hpp"
#include "support/test_matrix.hpp"

namespace augmentation_test {

using feaug::accumulate;
using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::random_key;
using feaug::stop_gradient;
using testing::test_matrix;

namespace {

constexpr random_key key{.seed = 11, .step = 5, .stream = 2};

/// A user's policy: turns a share of the features into their squares.
struct square_some {
  static constexpr std::string_view name = "square_some";
  using draw = feaug::uniform_draw;
  float share = 0.5F;
  template <class C>
  C forward(C x, draw d) const {
    return d.value < share ? x * x : x;
  }
  template <class C>
  C backward(C g, C x, draw d) const {
    return d.value < share ? 2 * x * g : g;
  }
};

/// A support queue of its own.
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
                              const random_key& with = key, int threads = 1) {
  cpu_context ctx{.threads = threads};
  test_matrix<T> out(x.rows(), x.cols(), 3);
  feaug::augment(ctx, policy, x.view(), with, out.view());
  CHECK(out.padding_intact());
  return out.values();
}

/// The gradient of Σ g ⊙ augment(x) by x: by the backward pass, and by central differences of the
/// forward pass.
template <class Policy>
void check_gradient(const Policy& policy) {
  const auto x = test_matrix<double>::normal(6, 5, 1, 2);
  const auto g = test_matrix<double>::normal(6, 5, 2, 1);
  const std::vector<double> weights = g.values();
  const auto value = [&](const std::vector<double>& at) {
    test_matrix<double> moved(6, 5);
    for (std::size_t i = 0; i < at.size(); ++i)
      moved.set(static_cast<index_t>(i) / 5, static_cast<index_t>(i) % 5, at[i]);
    const std::vector<double> out = augmented(policy, moved);
    double sum = 0;
    for (std::size_t i = 0; i < out.size(); ++i) sum += weights[i] * out[i];
    return sum;
  };
  const auto slopes = testing::central_differences(value, x.values(), 1e-5);
  for (int threads = 1; threads <= 2; ++threads) {
    cpu_context ctx{.threads = threads};
    test_matrix<double> d(6, 5, 4);
    d.fill(std::numeric_limits<double>::quiet_NaN());
    feaug::augment_backward(ctx, policy, differentiable(x.view(), d.view()), key, g.view());
    CHECK(testing::relative_error(d.values(), slopes) < 1e-7);
    CHECK(d.padding_intact());
    test_matrix<double> sum(6, 5);
    sum.fill(1.0);
    feaug::augment_backward(ctx, policy, accumulate(x.view(), sum.view()), key, g.view());
    for (index_t i = 0; i < 6; ++i) {
      for (index_t j = 0; j < 5; ++j)
        CHECK(sum.get(i, j) == Approx(1.0 + d.get(i, j)).margin(1e-12));
    }
    feaug::augment_backward(ctx, policy, stop_gradient(x.view()), key, g.view());
  }
}

template <class Policy>
std::string complaint(const Policy& policy, index_t cols = 5) {
  const auto x = test_matrix<float>::normal(3, cols, 1);
  test_matrix<float> out(3, cols);
  out.fill(9.0);
  cpu_context ctx{.threads = 1};
  try {
    feaug::augment(ctx, policy, x.view(), key, out.view());
  } catch (const feaug::argument_error& problem) {
    CHECK(out.values() == std::vector<double>(static_cast<std::size_t>(3 * cols), 9.0));
    return problem.what();
  }
  return "no complaint";
}

}  // namespace

TEST_CASE("gradients are the forward pass's slopes", "[augment]") {
  queue_of queue;
  check_gradient(feaug::keep_features{});
  check_gradient(feaug::mask{.keep_probability = 0.6F});
  check_gradient(feaug::mask{.keep_probability = 0.6F, .rescale = feaug::rescale::row});
  check_gradient(feaug::fixed_count_mask{.keep_count = 3, .rescale = feaug::rescale::row});
  check_gradient(feaug::block_mask{.block_length = 2});
  check_gradient(feaug::gaussian_noise{.scale = 0.3F});
  check_gradient(feaug::uniform_noise{});
  check_gradient(feaug::interpolate{.weight = 0.3F});
  check_gradient(feaug::interpolate{.distribution = feaug::weight_distribution::uniform});
  check_gradient(feaug::extrapolate{.distribution = feaug::weight_distribution::beta});
  check_gradient(square_some{});
  check_gradient(feaug::neighbour_from(queue.view()));  // a constant: zero
  check_gradient(feaug::compose(square_some{}, feaug::interpolate{}, feaug::mask{},
                                square_some{.share = 0.9F}));
  check_gradient(
      feaug::one_of({0.3F, 0.3F, 0.4F}, square_some{}, feaug::interpolate{}, feaug::mask{}));
  check_gradient(feaug::one_of({0.5F, 0.5F}, feaug::compose(feaug::interpolate{}, square_some{}),
                               feaug::keep_features{}));
  check_gradient(feaug::compose(feaug::one_of({0.5F, 0.5F}, feaug::mask{}, square_some{}),
                                feaug::extrapolate{}));
  check_gradient(std::variant<feaug::interpolate, square_some>(square_some{}));
  check_gradient(feaug::one_of(
      {0.5F, 0.5F}, std::variant<feaug::interpolate, square_some>(square_some{}), feaug::mask{}));
}

TEMPLATE_TEST_CASE("a policy is its draw, applied", "[augment]", double, float, feaug::half,
                   feaug::bfloat16) {
  const auto x = test_matrix<TestType>::normal(7, 9, 3, 2);
  cpu_context ctx{.threads = 2};
  test_matrix<TestType> drawn(7, 9);
  const auto rescale = GENERATE(feaug::rescale::none, feaug::rescale::row);
  const feaug::mask bernoulli{.keep_probability = 0.5F, .rescale = rescale};
  feaug::draw(ctx, bernoulli, key, drawn.view());
  CHECK(augmented(bernoulli, x) == augmented(feaug::drawn_mask(drawn.view(), rescale), x));
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

TEST_CASE("drawn noise and drawn weights do what the policies do", "[augment]") {
  const auto x = test_matrix<float>::normal(8, 6, 3);
  cpu_context ctx{.threads = 1};
  test_matrix<float> epsilon(8, 6);
  feaug::draw(ctx, feaug::uniform_noise{}, key, epsilon.view());
  CHECK(augmented(feaug::uniform_noise{.scale = 0.2F}, x) ==
        augmented(feaug::drawn_noise(epsilon.view(), 0.2F), x));
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

TEST_CASE("counts, blocks, weights", "[augment]") {
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
  // x = 1 and partner 0: what comes out is the weight.
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

TEST_CASE("micro-batches draw what the whole batch draws, threads change nothing", "[augment]") {
  const auto x = test_matrix<float>::normal(400, 37, 3);
  const auto policy = feaug::compose(
      feaug::one_of({0.5F, 0.5F}, feaug::mask{}, feaug::fixed_count_mask{.keep_count = 9}),
      feaug::gaussian_noise{}, feaug::block_mask{.block_length = 4});
  const std::vector<double> whole = augmented(policy, x);
  CHECK(whole == augmented(policy, x, key, 2));
  CHECK(whole == augmented(policy, x, key, 3));
  test_matrix<float> out(400, 37);
  cpu_context ctx{.threads = 2};
  for (index_t begin = 0; begin < 400; begin += 100) {
    random_key part = key;
    part.row_offset = begin;
    feaug::augment(ctx, policy, x.view().rows_from(begin, 100), part,
                   out.view().rows_from(begin, 100));
  }
  CHECK(out.values() == whole);
  CHECK(augmented(policy, x, {.seed = 11, .step = 6, .stream = 2}) != whole);
}

TEST_CASE("a partner gets its gradient, and may be the output", "[augment]") {
  const auto x = test_matrix<double>::normal(4, 3, 1);
  auto partner = test_matrix<double>::normal(4, 3, 2);
  const auto g = test_matrix<double>::normal(4, 3, 3);
  test_matrix<double> d_x(4, 3);
  test_matrix<double> d_partner(4, 3);
  cpu_context ctx{.threads = 1};
  const auto policy = feaug::with_partner(feaug::interpolate{.weight = 0.75F},
                                          differentiable(partner.view(), d_partner.view()));
  feaug::augment_backward(ctx, policy, differentiable(x.view(), d_x.view()), key, g.view());
  for (index_t i = 0; i < 4; ++i) {
    for (index_t j = 0; j < 3; ++j) {
      CHECK(d_x.get(i, j) == 0.75 * g.get(i, j));
      CHECK(d_partner.get(i, j) == 0.25 * g.get(i, j));
    }
  }
  d_partner.fill(0.0);
  feaug::augment_backward(ctx, policy, stop_gradient(x.view()), key, g.view());
  CHECK(d_partner.get(1, 1) == 0.25 * g.get(1, 1));
  const std::vector<double> want = augmented(policy, x);
  feaug::augment(ctx, feaug::with_partner(feaug::interpolate{.weight = 0.75F}, partner.view()),
                 x.view(), key, partner.view());
  CHECK(partner.values() == want);
}

TEST_CASE("neighbours: value, straight-through, exclusion, fall-back", "[augment]") {
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

TEST_CASE("edges: nothing, one, in place, NaN in its row", "[augment]") {
  cpu_context ctx{.threads = 2};
  const auto policy = feaug::compose(feaug::mask{}, feaug::gaussian_noise{});
  test_matrix<float> none(0, 5);
  CHECK_NOTHROW(feaug::augment(ctx, policy, none.view(), key, none.view()));
  CHECK_NOTHROW(
      feaug::augment(ctx, feaug::interpolate{}, none.view(), key, test_matrix<float>(0, 5).view()));
  const auto one = test_matrix<float>::normal(1, 1, 1);
  CHECK(augmented(feaug::interpolate{}, one) == one.values());
  auto x = test_matrix<float>::normal(5, 7, 1);
  for (const int which : {0, 1}) {
    auto in_place = x;
    if (which == 0) {
      feaug::augment(ctx, feaug::mask{}, in_place.view(), key, in_place.view());
      CHECK(in_place.values() == augmented(feaug::mask{}, x));
    } else {
      feaug::augment(ctx, policy, in_place.view(), key, in_place.view());
      CHECK(in_place.values() == augmented(policy, x));
    }
  }
  x.set(3, 2, std::numeric_limits<double>::quiet_NaN());
  const auto out = augmented(policy, x);
  for (std::size_t i = 0; i < out.size(); ++i) CHECK(std::isnan(out[i]) == (i == 3 * 7 + 2));
}

TEST_CASE("l2_normalize: zero, huge, tiny, NaN; and its gradient", "[l2_normalize]") {
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

TEST_CASE("augmentations name what is wrong, before they write", "[augment]") {
  using Catch::Matchers::Contains;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK_THAT(complaint(feaug::mask{.keep_probability = 1.5F}),
             Contains("mask: keep_probability: got 1.5, wanted a number from 0 to 1"));
  CHECK_THAT(complaint(feaug::mask{.keep_probability = nan}),
             Contains("mask: keep_probability: got nan"));
  CHECK_THAT(complaint(feaug::fixed_count_mask{.keep_count = 6}),
             Contains("fixed_count_mask: keep_count: got 6, wanted a number from 0 to 5"));
  CHECK_THAT(complaint(feaug::block_mask{.block_length = -1}),
             Contains("block_mask: block_length: got -1"));
  CHECK_THAT(complaint(feaug::gaussian_noise{.scale = -1}),
             Contains("gaussian_noise: scale: got -1"));
  CHECK_THAT(complaint(feaug::uniform_noise{.scale = nan}),
             Contains("uniform_noise: scale: got nan"));
  CHECK_THAT(complaint(feaug::interpolate{.weight = 1.5F}),
             Contains("interpolate: weight: got 1.5, wanted a weight from 0 to 1"));
  CHECK_THAT(complaint(feaug::extrapolate{.weight = 0.5F}),
             Contains("extrapolate: weight: got 0.5, wanted a finite weight of at least 1"));
  CHECK_THAT(
      complaint(feaug::interpolate{.distribution = feaug::weight_distribution::beta, .alpha = 0}),
      Contains("interpolate: alpha: got 0"));
  CHECK_THAT(complaint(feaug::interpolate{
                 .distribution = feaug::weight_distribution::uniform, .low = 0.5F, .high = 0.25F}),
             Contains("interpolate: high: got 0.25, wanted at least low = 0.5"));
  CHECK_THAT(complaint(feaug::one_of({0.5F, 0.4F}, feaug::mask{}, feaug::keep_features{})),
             Contains("one_of: probabilities: got a sum of 0.9"));
  CHECK_THAT(complaint(feaug::compose(feaug::mask{}, feaug::mask{.keep_probability = -1})),
             Contains("mask: keep_probability: got -1"));
  const auto other = test_matrix<float>::normal(3, 4, 1);
  CHECK_THAT(complaint(feaug::drawn_mask(other.view())),
             Contains("drawn_mask: keep: got shape (3, 4), wanted shape (3, 5) as x"));
  CHECK_THAT(complaint(feaug::with_partner(feaug::interpolate{}, other.view())),
             Contains("interpolate: partner: got shape (3, 4)"));
  const auto partner = test_matrix<float>::normal(3, 5, 1);
  const std::vector<float> weights = {0.5F, 1.5F, 0.5F};
  CHECK_THAT(complaint(feaug::with_weights(feaug::interpolate{}, stop_gradient(partner.view()),
                                           {weights.data(), 3})),
             Contains("interpolate: weights: got 1.5 in row 1"));

  auto x = test_matrix<float>::normal(4, 5, 1);
  test_matrix<float> out(4, 5);
  cpu_context ctx{.threads = 1};
  CHECK_THROWS_WITH(feaug::augment(ctx, feaug::interpolate{}, x.view(), key, x.view()),
                    Contains("interpolate: out: got memory that overlaps x"));
  CHECK_THROWS_WITH(
      feaug::augment(ctx, feaug::mask{}, x.view().rows_from(0, 3), key, x.view().rows_from(1, 3)),
      Contains("mask: out: got memory that partly overlaps x"));
  CHECK_THROWS_WITH(feaug::augment(ctx, feaug::mask{}, x.view(), {.step = 1ULL << 32U}, out.view()),
                    Contains("random_key.step"));
  CHECK_THROWS_WITH(feaug::augment(ctx, feaug::mask{}, x.view(), {.row_offset = -1}, out.view()),
                    Contains("random_key.row_offset"));
  CHECK_THROWS_WITH(
      feaug::augment_backward(ctx, feaug::mask{}, differentiable(x.view(), out.view()), key,
                              out.view().rows_from(0, 3)),
      Contains("mask: grad_out: got shape (3, 5), wanted shape (4, 5) as x"));
  CHECK_THROWS_WITH(feaug::l2_normalize(ctx, x.view(), out.view(), {.eps = 0}),
                    Contains("l2_normalize: eps: got 0"));
}

}  // namespace augmentation_test
