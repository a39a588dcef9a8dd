// hard_negative_info_nce against the formula with every synthetic row written out, automatic
// differentiation with those rows frozen; its draws; and the edges.
#include "feaug/cpu/loss/hard_negative_info_nce.hpp"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "loss/reference.hpp"
#include "support/automatic_gradient.hpp"
#include "support/test_matrix.hpp"

namespace hard_negative_info_nce_test {

using feaug::compute_t;
using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::info_nce_options;
using feaug::matrix_view;
using feaug::reduce;
using feaug::stop_gradient;
using feaug::synthetic_counts;
using feaug::synthetic_negatives;
using feaug::vector_view;
using testing::test_matrix;

namespace {

const double nan_value = std::numeric_limits<double>::quiet_NaN();
const double infinity = std::numeric_limits<double>::infinity();

constexpr synthetic_counts all_kinds = {
    .interpolated = 3, .extrapolated = 2, .mixed = 4, .noisy = 2, .stepped = 1, .sign_stepped = 3};

/// Numbers by [row][column], as `draw` gave them out.
template <class T>
class draws {
 public:
  draws(const synthetic_negatives<T>& how, index_t rows, index_t cols)
      : rows_(rows),
        first_(how.counts.total() * rows),
        second_(how.counts.mixed * rows),
        weights_(how.counts.weighted() * rows),
        noise_(how.counts.noisy * rows * cols),
        counts_(how.counts),
        cols_(cols) {
    cpu_context ctx{.threads = 2};
    feaug::draw(ctx, how, first(), second(), weights(), noise());
  }

  matrix_view<index_t> first() { return {first_.data(), rows_, counts_.total()}; }
  matrix_view<index_t> second() { return {second_.data(), rows_, counts_.mixed}; }
  matrix_view<compute_t<T>> weights() { return {weights_.data(), rows_, counts_.weighted()}; }
  matrix_view<compute_t<T>> noise() { return {noise_.data(), rows_ * counts_.noisy, cols_}; }
  feaug::drawn_synthesis<T> given() { return {first(), second(), weights(), noise()}; }

 private:
  template <class U>
  struct numbers : std::vector<U> {
    explicit numbers(index_t size) : std::vector<U>(static_cast<std::size_t>(size)) {}
  };
  index_t rows_;
  numbers<index_t> first_, second_;
  numbers<compute_t<T>> weights_, noise_;
  synthetic_counts counts_;
  index_t cols_;
};

using row = std::vector<double>;

row unit(const row& x) {
  const double norm = std::sqrt(testing::dot(x, x));
  row u = x;
  for (double& element : u) element = norm <= 1e-12 ? 0.0 : element / norm;
  return u;
}

row sum(double a, const row& x, double b, const row& y) {
  row z = x;
  for (std::size_t d = 0; d < z.size(); ++d) z[d] = a * x[d] + b * y[d];
  return z;
}

row signs_of(const row& x) {
  row s = x;
  for (double& element : s) element = element > 0 ? 1.0 : element < 0 ? -1.0 : 0.0;
  return s;
}

/// Slots of the negatives, the nearest to q by cosine first.
std::vector<index_t> by_nearness(const row& q, const testing::rows_of<double>& negatives) {
  std::vector<index_t> slots(static_cast<std::size_t>(negatives.size()));
  std::iota(slots.begin(), slots.end(), index_t{0});
  std::stable_sort(slots.begin(), slots.end(), [&](index_t a, index_t b) {
    return testing::dot(unit(q), unit(negatives[a])) > testing::dot(unit(q), unit(negatives[b]));
  });
  return slots;
}

/// All synthetic negatives of query i, kind by kind as the formulas stand.
template <class T>
std::vector<row> synthetic_rows(const synthetic_negatives<T>& how, draws<T>& drawn, index_t i,
                                const row& query, const testing::rows_of<double>& negatives,
                                bool normalize) {
  const std::vector<index_t> slots = by_nearness(query, negatives);
  const row q = normalize ? unit(query) : query;
  index_t at = 0;
  const auto hard = [&](index_t rank) {
    const row& n = negatives[slots[static_cast<std::size_t>(rank)]];
    return normalize ? unit(n) : n;
  };
  const auto first = [&] { return hard(drawn.first()(i, at)); };
  const auto weight = [&] { return static_cast<double>(drawn.weights()(i, at)); };
  std::vector<row> made;
  for (index_t t = 0; t < how.counts.interpolated; ++t, ++at)
    made.push_back(sum(weight(), q, 1 - weight(), first()));
  for (index_t t = 0; t < how.counts.extrapolated; ++t, ++at)
    made.push_back(sum(1.0, q, weight(), sum(1.0, first(), -1.0, q)));
  for (index_t t = 0; t < how.counts.mixed; ++t, ++at)
    made.push_back(sum(weight(), first(), 1 - weight(), hard(drawn.second()(i, t))));
  for (index_t t = 0; t < how.counts.noisy; ++t, ++at) {
    row noise;
    for (index_t d = 0; d < static_cast<index_t>(negatives[0].size()); ++d)
      noise.push_back(static_cast<double>(drawn.noise()(i * how.counts.noisy + t, d)));
    made.push_back(sum(1.0, first(), static_cast<double>(how.noise_scale), noise));
  }
  for (index_t t = 0; t < how.counts.stepped; ++t, ++at)
    made.push_back(sum(1.0, first(), static_cast<double>(how.step), q));
  for (index_t t = 0; t < how.counts.sign_stepped; ++t, ++at)
    made.push_back(sum(1.0, first(), static_cast<double>(how.sign_step), signs_of(q)));
  for (row& h : made) h = unit(h);
  return made;
}

/// Row losses over frozen synthetic rows.
template <class S>
std::vector<S> reference_rows(const testing::rows_of<S>& queries, const testing::rows_of<S>& keys,
                              const testing::rows_of<S>& negatives,
                              const std::vector<std::vector<row>>& synthetic, const S& temperature,
                              const testing::info_nce_setting& how) {
  using std::sqrt;
  std::vector<S> losses;
  for (index_t i = 0; i < queries.size(); ++i) {
    const index_t p = i + how.positive_offset;
    std::vector<S> logits;
    for (index_t j = 0; j < keys.size(); ++j) {
      if (how.in_batch_negatives || j == p)
        logits.push_back(testing::cosine(queries[i], keys[j], how.normalize) / temperature);
    }
    for (index_t j = 0; j < negatives.size(); ++j)
      logits.push_back(testing::cosine(queries[i], negatives[j], how.normalize) / temperature);
    for (const row& h : synthetic[static_cast<std::size_t>(i)]) {
      S product = queries[i][0] * h[0];
      for (std::size_t d = 1; d < h.size(); ++d) product += queries[i][d] * h[d];
      if (how.normalize) product /= sqrt(testing::dot(queries[i], queries[i]));
      logits.push_back(product / temperature);
    }
    losses.push_back(testing::log_sum_exp(logits) -
                     testing::cosine(queries[i], keys[p], how.normalize) / temperature);
  }
  return losses;
}

struct setting {
  index_t rows, keys, negatives, cols;
  double temperature;
  index_t hardest;
  synthetic_counts counts;
  testing::info_nce_setting how = {};
};

/// MoCo's form, in-batch negatives besides, an offset; one of everything; one feature; all kinds,
/// and each alone; sharp and raw logits.
const std::vector<setting> settings = {
    {4, 4, 9, 6, 0.2, 5, all_kinds, {.in_batch_negatives = false}},
    {5, 8, 7, 17, 0.1, 7, all_kinds, {.positive_offset = 3}},
    {1, 1, 1, 3, 0.5, 1, all_kinds},
    {3, 3, 4, 1, 0.5, 2, {.interpolated = 2, .extrapolated = 1, .mixed = 1, .stepped = 1}},
    {3, 3, 6, 5, 0.3, 3, {.interpolated = 4}},
    {3, 3, 6, 5, 0.3, 3, {.extrapolated = 4}},
    {3, 3, 6, 5, 0.3, 3, {.mixed = 4}},
    {3, 3, 6, 5, 0.3, 3, {.noisy = 4}},
    {3, 3, 6, 5, 0.3, 3, {.stepped = 4}},
    {3, 3, 6, 5, 0.3, 3, {.sign_stepped = 4}},
    {4, 4, 8, 5, 0.01, 4, all_kinds, {.in_batch_negatives = false}},
    {4, 4, 8, 5, 2.0, 4, all_kinds, {.normalize = false}},
};

/// Inputs, destinations and the reference for one setting. Noise and steps are large enough to see.
template <class T>
struct fixture {
  using C = compute_t<T>;
  setting s;
  test_matrix<T> queries, keys, negatives, d_queries, d_keys, d_negatives;
  C temperature;
  C d_temperature = static_cast<C>(nan_value);
  synthetic_negatives<T> synthesis;
  draws<T> drawn;
  std::vector<std::vector<row>> synthetic;

  explicit fixture(const setting& which, index_t padding = 2)
      : s(which),
        queries(test_matrix<T>::normal(s.rows, s.cols, 1, padding)),
        keys(test_matrix<T>::normal(s.keys, s.cols, 2, padding)),
        negatives(test_matrix<T>::normal(s.negatives, s.cols, 3, padding)),
        d_queries(s.rows, s.cols, padding),
        d_keys(s.keys, s.cols, padding),
        d_negatives(s.negatives, s.cols, padding),
        temperature(static_cast<C>(s.temperature)),
        synthesis{.hardest = s.hardest,
                  .counts = s.counts,
                  .noise_scale = 0.3F,
                  .step = 0.4F,
                  .sign_step = 0.2F,
                  .key = {.seed = 11, .step = 5, .stream = 2, .row_offset = 70}},
        drawn(synthesis, s.rows, s.cols) {
    reset();
    const testing::rows_of<double> q(queries.values(), 0, s.rows, s.cols);
    const testing::rows_of<double> n(negatives.values(), 0, s.negatives, s.cols);
    for (index_t i = 0; i < s.rows; ++i)
      synthetic.push_back(synthetic_rows(synthesis, drawn, i, q[i], n, s.how.normalize));
  }

  void reset() {
    d_queries.fill(nan_value);
    d_keys.fill(nan_value);
    d_negatives.fill(nan_value);
    d_temperature = static_cast<C>(nan_value);
  }
  auto q() { return differentiable(queries.view(), d_queries.view()); }
  auto k() { return differentiable(keys.view(), d_keys.view()); }
  info_nce_options<T> options(reduce reduction) {
    return {.reduction = reduction,
            .positive_offset = s.how.positive_offset,
            .in_batch_negatives = s.how.in_batch_negatives,
            .normalize = s.how.normalize,
            .negatives = differentiable(negatives.view(), d_negatives.view()),
            .learnable_temperature =
                differentiable(feaug::scalar(temperature), feaug::scalar(d_temperature))};
  }
  std::vector<double> inputs() const {
    std::vector<double> x = queries.values();
    for (double v : keys.values()) x.push_back(v);
    for (double v : negatives.values()) x.push_back(v);
    x.push_back(static_cast<double>(temperature));
    return x;
  }
  std::vector<double> gradients() const {
    std::vector<double> g = d_queries.values();
    for (double v : d_keys.values()) g.push_back(v);
    for (double v : d_negatives.values()) g.push_back(v);
    g.push_back(static_cast<double>(d_temperature));
    return g;
  }
  template <class S>
  std::vector<S> reference(const std::vector<S>& x) const {
    const auto at = [&](index_t rows) { return static_cast<std::size_t>(rows * s.cols); };
    return reference_rows(testing::rows_of<S>(x, 0, s.rows, s.cols),
                          testing::rows_of<S>(x, at(s.rows), s.keys, s.cols),
                          testing::rows_of<S>(x, at(s.rows + s.keys), s.negatives, s.cols),
                          synthetic, x.back(), s.how);
  }
};

}  // namespace

TEMPLATE_TEST_CASE("hard_negative_info_nce and its gradients are the formula's",
                   "[hard_negative_info_nce]", double, float, feaug::half, feaug::bfloat16) {
  using C = compute_t<TestType>;
  const setting s = GENERATE(from_range(settings));
  const reduce reduction = GENERATE(reduce::mean, reduce::none);
  CAPTURE(s.rows, s.keys, s.negatives, s.cols, s.temperature, s.counts.total());
  // At τ = 0.01 the rounding of 16-bit storage moves logits too far; of those types two settings.
  if (sizeof(TestType) == 2 && s.counts.total() != all_kinds.total()) return;
  if (sizeof(TestType) == 2 && s.temperature < 0.05) return;
  fixture<TestType> f(s);
  std::vector<double> cotangent = testing::equal_weights(s.rows, true);
  if (reduction == reduce::none) {
    for (std::size_t i = 0; i < cotangent.size(); ++i)
      cotangent[i] = i % 3 == 1 ? -0.5 : 1.0 + 0.25 * static_cast<double>(i);
  }
  const auto want = testing::automatic_gradient(
      [&](const std::vector<testing::dual>& x) {
        return testing::weighted(f.reference(x), cotangent);
      },
      f.inputs());
  const double allowed = testing::tolerance<TestType>() * (s.temperature < 0.05 ? 20 : 1);
  const auto options = f.options(reduction);
  cpu_context ctx{.threads = 2};
  const index_t outputs = reduction == reduce::none ? s.rows : 1;
  std::vector<C> loss(static_cast<std::size_t>(outputs));
  std::vector<C> statistics(static_cast<std::size_t>(s.rows));
  std::vector<C> upstream = {C{1}};
  if (reduction == reduce::none) upstream = std::vector<C>(cotangent.begin(), cotangent.end());
  const vector_view<C> loss_view(loss.data(), outputs);
  const vector_view<C> statistics_view(statistics.data(), s.rows);
  const auto total = [&] {
    double all = 0;
    for (std::size_t i = 0; i < loss.size(); ++i)
      all += static_cast<double>(loss[i]) * (reduction == reduce::none ? cotangent[i] : 1.0);
    return all;
  };

  feaug::hard_negative_info_nce(ctx, f.queries.view(), f.keys.view(), f.synthesis, loss_view,
                                options, statistics_view);
  CHECK(total() == Approx(want.value).epsilon(allowed).margin(allowed));
  feaug::hard_negative_info_nce_backward(ctx, f.q(), f.k(), f.synthesis, statistics_view,
                                         {upstream.data(), outputs}, options);
  CHECK(testing::relative_error(f.gradients(), want.gradient, 1e-2) < allowed);
  CHECK((f.d_queries.padding_intact() && f.d_keys.padding_intact() &&
         f.d_negatives.padding_intact()));
  if (reduction == reduce::none) return;
  f.reset();
  const C again =
      feaug::hard_negative_info_nce_with_gradients(ctx, f.q(), f.k(), f.synthesis, options);
  CHECK(again == loss[0]);
  CHECK(testing::relative_error(f.gradients(), want.gradient, 1e-2) < allowed);

  // The same draws, given.
  const std::vector<double> drawn_by_key = f.gradients();
  f.reset();
  synthetic_negatives<TestType> given = f.synthesis;
  given.key = {};
  given.drawn = f.drawn.given();
  CHECK(feaug::hard_negative_info_nce_with_gradients(ctx, f.q(), f.k(), given, options) == again);
  CHECK(f.gradients() == drawn_by_key);
}

TEST_CASE("hard_negative_info_nce without synthetic negatives is info_nce, bit for bit",
          "[hard_negative_info_nce]") {
  fixture<float> f({70, 70, 90, 9, 0.1, 4, {}});
  cpu_context ctx{.threads = 2};
  const auto options = f.options(reduce::mean);
  const float want = feaug::info_nce_with_gradients(ctx, f.q(), f.k(), options);
  const std::vector<double> gradients = f.gradients();
  f.reset();
  f.synthesis.hardest = 1024;  // more than there are: nobody searches
  CHECK(feaug::hard_negative_info_nce_with_gradients(ctx, f.q(), f.k(), f.synthesis, options) ==
        want);
  CHECK(f.gradients() == gradients);
  std::vector<float> statistics(70);
  const vector_view<float> statistics_view(statistics.data(), 70);
  float loss = 0;
  float one = 1;
  feaug::info_nce(ctx, f.queries.view(), f.keys.view(), feaug::scalar(loss), options,
                  statistics_view);
  feaug::info_nce_backward(ctx, f.q(), f.k(), statistics_view, feaug::scalar(one), options);
  const std::vector<double> backward = f.gradients();
  const std::vector<float> plain_statistics = statistics;
  f.reset();
  CHECK(feaug::hard_negative_info_nce(ctx, f.queries.view(), f.keys.view(), f.synthesis, options) ==
        loss);
  feaug::hard_negative_info_nce(ctx, f.queries.view(), f.keys.view(), f.synthesis,
                                feaug::scalar(loss), options, statistics_view);
  CHECK(statistics == plain_statistics);
  feaug::hard_negative_info_nce_backward(ctx, f.q(), f.k(), f.synthesis, statistics_view,
                                         feaug::scalar(one), options);
  CHECK(f.gradients() == backward);
}

TEST_CASE("hard_negative_info_nce: many rows, some at a time, the same bits for any threads",
          "[hard_negative_info_nce]") {
  // 8 · 1900 bytes of slots a row: a second chunk begins at row 272.
  const setting s = {300, 300, 2000, 5, 0.1, 1900, all_kinds, {.in_batch_negatives = false}};
  fixture<float> f(s, 0);
  std::vector<float> losses(300);
  std::vector<double> first;
  const auto options = f.options(reduce::none);
  for (int threads = 1; threads <= 3; ++threads) {
    cpu_context ctx{.threads = threads};
    f.reset();
    feaug::hard_negative_info_nce_with_gradients(ctx, f.q(), f.k(), f.synthesis,
                                                 {losses.data(), 300}, options);
    std::vector<double> all = f.gradients();
    all.insert(all.end(), losses.begin(), losses.end());
    if (first.empty()) first = all;
    CHECK(all == first);
  }
  const std::vector<double> want = f.reference(f.inputs());
  CHECK(testing::relative_error(std::vector<double>(losses.begin(), losses.end()), want) < 1e-5);
}

TEST_CASE("hard_negative_info_nce: draws of a micro-batch are those of the batch",
          "[hard_negative_info_nce]") {
  fixture<double> f({6, 6, 9, 5, 0.2, 4, all_kinds, {.in_batch_negatives = false}});
  cpu_context ctx{.threads = 1};
  std::vector<double> whole(6);
  std::vector<double> part(4);
  const auto options = f.options(reduce::none);
  feaug::hard_negative_info_nce(ctx, f.queries.view(), f.keys.view(), f.synthesis,
                                {whole.data(), 6}, options);
  synthetic_negatives<double> later = f.synthesis;
  later.key.row_offset += 2;
  feaug::hard_negative_info_nce(ctx, f.queries.view().rows_from(2, 4),
                                f.keys.view().rows_from(2, 4), later, {part.data(), 4}, options);
  CHECK(part == std::vector<double>(whole.begin() + 2, whole.end()));
  later.key.step += 1;
  feaug::hard_negative_info_nce(ctx, f.queries.view().rows_from(2, 4),
                                f.keys.view().rows_from(2, 4), later, {part.data(), 4}, options);
  for (std::size_t i = 0; i < 4; ++i) CHECK(part[i] != whole[i + 2]);
}

TEST_CASE("the draws of synthetic negatives have the ranges that they should",
          "[hard_negative_info_nce]") {
  synthetic_negatives<float> how = {
      .hardest = 7,
      .counts = {.interpolated = 300, .extrapolated = 300, .mixed = 300, .noisy = 100},
      .interpolation_limit = 0.25F,
      .extrapolation_limit = 3.0F,
      .key = {.seed = 3}};
  draws<float> drawn(how, 4, 6);
  std::array<int, 7> first = {};
  std::array<int, 7> second = {};
  for (index_t i = 0; i < 4; ++i) {
    for (index_t s = 0; s < 1000; ++s) {
      REQUIRE((drawn.first()(i, s) >= 0 && drawn.first()(i, s) < 7));
      ++first[static_cast<std::size_t>(drawn.first()(i, s))];
    }
    for (index_t t = 0; t < 300; ++t) {
      ++second.at(static_cast<std::size_t>(drawn.second()(i, t)));
      const float a = drawn.weights()(i, t);
      const float b = drawn.weights()(i, 300 + t);
      const float g = drawn.weights()(i, 600 + t);
      CHECK((a >= 0.0F && a < 0.25F && b >= 1.0F && b <= 3.0F && g >= 0.0F && g < 1.0F));
    }
  }
  for (const int count : first) CHECK(std::abs(count - 4000 / 7) < 120);  // five deviations
  for (const int count : second) CHECK(std::abs(count - 1200 / 7) < 62);
  double mean = 0;
  double square = 0;
  for (index_t i = 0; i < 400; ++i) {
    for (index_t d = 0; d < 6; ++d) {
      const auto epsilon = static_cast<double>(drawn.noise()(i, d));
      mean += epsilon / 2400;
      square += epsilon * epsilon / 2400;
    }
  }
  CHECK(std::abs(mean) < 0.11);
  CHECK(std::abs(square - 1) < 0.15);
}

TEST_CASE("hard_negative_info_nce: stopped sides, accumulation, weights and scale",
          "[hard_negative_info_nce]") {
  fixture<double> f({5, 6, 8, 4, 0.2, 5, all_kinds, {.positive_offset = 1}});
  cpu_context ctx{.threads = 1};
  const std::vector<double> weights = {0.5, -1.0, 0.0, 2.0, 1.5};
  std::vector<double> losses(5);
  std::vector<double> statistics(5);
  const vector_view<double> statistics_view(statistics.data(), 5);
  auto options = f.options(reduce::none);
  feaug::hard_negative_info_nce(ctx, f.queries.view(), f.keys.view(), f.synthesis,
                                {losses.data(), 5}, options, statistics_view);
  feaug::hard_negative_info_nce_backward(ctx, f.q(), f.k(), f.synthesis, statistics_view,
                                         {weights.data(), 5}, options);
  options = f.options(reduce::sum);
  options.learnable_temperature = stop_gradient(feaug::scalar(f.temperature));
  options.negatives = stop_gradient(f.negatives.view());
  options.row_weights = {weights.data(), 5};
  options.gradient_scale = 3;
  test_matrix<double> alone(5, 4);
  alone.fill(1.0);
  const double loss = feaug::hard_negative_info_nce_with_gradients(
      ctx, feaug::accumulate(f.queries.view(), alone.view()), stop_gradient(f.keys.view()),
      f.synthesis, options);
  CHECK(loss == Approx(std::inner_product(weights.begin(), weights.end(), losses.begin(), 0.0)));
  for (index_t i = 0; i < 5; ++i) {
    for (index_t j = 0; j < 4; ++j)
      CHECK(alone.get(i, j) == Approx(1.0 + 3.0 * f.d_queries.get(i, j)));
  }
  test_matrix<double> keys_alone(6, 4);
  feaug::hard_negative_info_nce_with_gradients(ctx, stop_gradient(f.queries.view()),
                                               differentiable(f.keys.view(), keys_alone.view()),
                                               f.synthesis, options);
  for (index_t i = 0; i < 6; ++i) {
    for (index_t j = 0; j < 4; ++j)
      CHECK(keys_alone.get(i, j) == Approx(3.0 * f.d_keys.get(i, j)).margin(1e-12));
  }
  test_matrix<double> negatives_alone(8, 4);
  options.negatives = differentiable(f.negatives.view(), negatives_alone.view());
  options.gradient_scale = 1;
  feaug::hard_negative_info_nce_with_gradients(ctx, stop_gradient(f.queries.view()),
                                               stop_gradient(f.keys.view()), f.synthesis, options);
  CHECK(testing::relative_error(negatives_alone.values(), f.d_negatives.values()) < 1e-12);
}

TEST_CASE("hard_negative_info_nce leaves the query's own sample out", "[hard_negative_info_nce]") {
  fixture<double> f({3, 3, 6, 5, 0.2, 4, all_kinds, {.in_batch_negatives = false}});
  cpu_context ctx{.threads = 1};
  const auto losses = [&] {
    std::vector<double> row_losses(3);
    feaug::hard_negative_info_nce(ctx, f.queries.view(), f.keys.view(), f.synthesis,
                                  {row_losses.data(), 3}, f.options(reduce::none));
    return row_losses;
  };
  const std::vector<double> all = losses();
  const testing::rows_of<double> q(f.queries.values(), 0, 3, 5);
  const testing::rows_of<double> n(f.negatives.values(), 0, 6, 5);
  // Query 0's nearest carries its id, four of the six carry that of query 1, all that of query 2
  // but its own.
  std::vector<std::int64_t> ids(6, 9);
  const std::vector<std::int64_t> of_queries = {7, 8, 9};
  const index_t nearest = by_nearness(q[0], n)[0];
  ids[static_cast<std::size_t>(nearest)] = 7;
  f.synthesis.ids = {ids.data(), 6};
  f.synthesis.exclude_ids = {of_queries.data(), 3};
  const std::vector<double> some = losses();
  CHECK(some[1] == all[1]);

  // Query 0: as if that negative could not be found; it still is a negative.
  std::vector<double> others;
  for (index_t j = 0; j < 6; ++j) {
    if (j != nearest) others.insert(others.end(), n[j].begin(), n[j].end());
  }
  f.synthetic[0] = synthetic_rows(f.synthesis, f.drawn, 0, q[0],
                                  testing::rows_of<double>(others, 0, 5, 5), true);
  CHECK(some[0] == Approx(f.reference(f.inputs())[0]).epsilon(1e-12));

  // Query 2 finds one negative alone: what is made of others is left out, and the rest is there.
  std::vector<row> left;
  const std::vector<row> made =
      synthetic_rows(f.synthesis, f.drawn, 2, q[2],
                     testing::rows_of<double>(
                         [&] {  // one row for every rank
                           std::vector<double> same;
                           for (int r = 0; r < 4; ++r)
                             same.insert(same.end(), n[nearest].begin(), n[nearest].end());
                           return same;
                         }(),
                         0, 4, 5),
                     true);
  for (index_t s = 0; s < all_kinds.total(); ++s) {
    const index_t of_mixed = s - all_kinds.interpolated - all_kinds.extrapolated;
    const bool is_mixed = of_mixed >= 0 && of_mixed < all_kinds.mixed;
    if (f.drawn.first()(2, s) == 0 && (!is_mixed || f.drawn.second()(2, of_mixed) == 0))
      left.push_back(made[static_cast<std::size_t>(s)]);
  }
  REQUIRE((!left.empty() && left.size() < made.size()));
  f.synthetic[2] = left;
  CHECK(some[2] == Approx(f.reference(f.inputs())[2]).epsilon(1e-12));

  // Nothing at all is found: info_nce.
  ids.assign(6, 9);
  CHECK(losses()[2] == [&] {
    std::vector<double> plain(3);
    feaug::info_nce(ctx, f.queries.view(), f.keys.view(), {plain.data(), 3},
                    f.options(reduce::none));
    return plain[2];
  }());
}

TEST_CASE("hard_negative_info_nce at the edges", "[hard_negative_info_nce]") {
  fixture<double> f({2, 2, 2, 3, 0.5, 2, {.mixed = 1}, {.in_batch_negatives = false}});
  cpu_context ctx{.threads = 1};
  std::vector<index_t> first = {0, 0};
  std::vector<index_t> second = {1, 1};
  std::vector<double> weights = {0.5, 0.5};
  f.synthesis.drawn = {.first = matrix_view<index_t>(first.data(), 2, 1),
                       .second = matrix_view<index_t>(second.data(), 2, 1),
                       .weights = matrix_view<double>(weights.data(), 2, 1)};
  const auto run = [&] {
    std::vector<double> losses(2);
    auto options = f.options(reduce::none);
    feaug::hard_negative_info_nce_with_gradients(ctx, f.q(), f.k(), f.synthesis, {losses.data(), 2},
                                                 options);
    return losses;
  };
  const auto finite = [](const std::vector<double>& numbers) {
    return std::all_of(numbers.begin(), numbers.end(), [](double x) { return std::isfinite(x); });
  };
  SECTION("opposite negatives cancel: the mixture has logit 0, and no gradient") {
    for (index_t d = 0; d < 3; ++d) f.negatives.set(1, d, -2 * f.negatives.get(0, d));
    f.synthetic = {{row(3, 0.0)}, {row(3, 0.0)}};
    const auto want = testing::automatic_gradient(
        [&](const std::vector<testing::dual>& x) {
          return testing::weighted(f.reference(x), {1.0, 1.0});
        },
        f.inputs());
    CHECK(testing::relative_error(run(), f.reference(f.inputs())) < 1e-12);
    CHECK(testing::relative_error(f.gradients(), want.gradient) < 1e-9);
  }
  SECTION("a negative mixed with itself is itself") {
    second = first;
    const testing::rows_of<double> q(f.queries.values(), 0, 2, 3);
    const testing::rows_of<double> n(f.negatives.values(), 0, 2, 3);
    for (index_t i = 0; i < 2; ++i)
      f.synthetic[static_cast<std::size_t>(i)] = {unit(n[by_nearness(q[i], n)[0]])};
    CHECK(testing::relative_error(run(), f.reference(f.inputs())) < 1e-12);
  }
  SECTION("zero, huge and tiny rows are finite down to a temperature of 1e-3") {
    f.temperature = 1e-3;
    f.queries.fill_row(0, 0.0);
    f.negatives.fill_row(0, 0.0);
    f.negatives.fill_row(1, 1e18);
    f.keys.fill_row(1, 1e-30);
    for (const synthetic_counts& counts :
         {all_kinds, synthetic_counts{.mixed = 5}, synthetic_counts{.sign_stepped = 3}}) {
      f.synthesis.drawn = {};
      f.synthesis.counts = counts;
      CHECK(finite(run()));
      CHECK(finite(f.gradients()));
      for (index_t d = 0; d < 3; ++d) {
        CHECK(f.d_queries.get(0, d) == 0.0);
        CHECK(f.d_negatives.get(0, d) == 0.0);
      }
    }
  }
  SECTION("NaN and infinity in a query stay in its row") {
    f.queries.set(1, 2, GENERATE(nan_value, infinity));
    f.synthesis.drawn = {};
    f.synthesis.counts = all_kinds;
    const std::vector<double> losses = run();
    CHECK(std::isfinite(losses[0]));
    CHECK(std::isnan(losses[1]));
    CHECK(std::isfinite(f.d_queries.get(0, 0)));
    CHECK(std::isnan(f.d_queries.get(1, 0)));
  }
  SECTION("NaN and infinity in a negative reach all") {
    f.negatives.set(1, 2, GENERATE(nan_value, infinity));
    f.synthesis.drawn = {};
    f.synthesis.counts = all_kinds;
    for (const double loss : run()) CHECK(std::isnan(loss));
    CHECK(std::isnan(f.d_queries.get(0, 0)));
  }
}

}  // namespace hard_negative_info_nce_test
