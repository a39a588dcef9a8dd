// hard_negative_info_nce: formula with every synthetic row materialised, draws, edge cases.
#include "feaug/cpu/loss/hard_negative_info_nce.hpp"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "loss/info_nce_formula.hpp"
#include "support/test_matrix.hpp"

namespace hard_negative_info_nce_test {

using feaug::compute_t;
using feaug::cpu_context;
using feaug::differentiable;
using feaug::index_t;
using feaug::info_nce_options;
using feaug::matrix_view;
using feaug::reduce;
using feaug::synthetic_counts;
using feaug::synthetic_negatives;
using feaug::vector_view;
using testing::test_matrix;

namespace {

const double nan_value = std::numeric_limits<double>::quiet_NaN();
const double infinity = std::numeric_limits<double>::infinity();

constexpr synthetic_counts all_kinds = {
    .interpolated = 3, .extrapolated = 2, .mixed = 4, .noisy = 2, .stepped = 1, .sign_stepped = 3};

/// Draws by [row][column], as written by `draw`.
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

row sum(double a, const row& x, double b, const row& y) {
  row z = x;
  for (std::size_t d = 0; d < z.size(); ++d) z[d] = a * x[d] + b * y[d];
  return z;
}

/// The negatives of query i, nearest first by cosine, without those of its own sample.
template <class S>
std::vector<row> hardest(const testing::formula_inputs<S>& in, index_t i) {
  const auto negatives = in.constant("negatives");
  const auto directions = testing::directions(negatives);
  const row q = testing::unit(in.constant("queries")[i]);
  std::vector<double> nearness;
  std::vector<index_t> slots;
  for (index_t j = 0; j < negatives.size(); ++j) {
    nearness.push_back(testing::dot(q, directions[j]));
    if (!in.has("ids") || in.vector("ids")[static_cast<std::size_t>(j)] !=
                              in.vector("exclude_ids")[static_cast<std::size_t>(i)])
      slots.push_back(j);
  }
  std::stable_sort(slots.begin(), slots.end(), [&](index_t a, index_t b) {
    return nearness[static_cast<std::size_t>(a)] > nearness[static_cast<std::size_t>(b)];
  });
  std::vector<row> rows;
  rows.reserve(slots.size());
  for (const index_t slot : slots)
    rows.push_back(in.option("normalize", true) ? directions[slot] : negatives[slot]);
  return rows;
}

/// All synthetic negatives of query i, kind by kind. Those that need a missing row are skipped.
template <class S>
std::vector<row> synthetic_rows(const testing::formula_inputs<S>& in, index_t i) {
  const std::vector<row> found = hardest(in, i);
  const row query = in.constant("queries")[i];
  const row q = in.option("normalize", true) ? testing::unit(query) : query;
  row signs = q;
  for (double& x : signs) x = x > 0 ? 1.0 : x < 0 ? -1.0 : 0.0;
  const auto count = [&](const char* kind) { return in.option(kind, index_t{0}); };
  const auto drawn = [&](const char* name, index_t at) {
    return in.constant(name)[i][static_cast<std::size_t>(at)];
  };
  index_t at = 0;
  std::vector<row> made;
  const auto make = [&](const char* kind, const auto& recipe) {
    for (index_t t = 0; t < count(kind); ++t, ++at) {
      const auto rank = static_cast<std::size_t>(drawn("first", at));
      const bool is_mixed = kind == std::string("mixed");
      const auto other = is_mixed ? static_cast<std::size_t>(drawn("second", t)) : rank;
      if (std::max(rank, other) < found.size())
        made.push_back(testing::unit(recipe(found[rank], found[other], t)));
    }
  };
  const auto weight = [&] { return drawn("weights", at); };
  make("interpolated",
       [&](const row& n, const row&, index_t) { return sum(weight(), q, 1 - weight(), n); });
  make("extrapolated",
       [&](const row& n, const row&, index_t) { return sum(1 - weight(), q, weight(), n); });
  make("mixed", [&](const row& n, const row& other, index_t) {
    return sum(weight(), n, 1 - weight(), other);
  });
  make("noisy", [&](const row& n, const row&, index_t t) {
    return sum(1, n, in.option("noise_scale", 0.01F), in.constant("noise")[i * count("noisy") + t]);
  });
  make("stepped",
       [&](const row& n, const row&, index_t) { return sum(1, n, in.option("step", 0.01F), q); });
  make("sign_stepped", [&](const row& n, const row&, index_t) {
    return sum(1, n, in.option("sign_step", 0.01F), signs);
  });
  return made;
}

/// Synthetic rows are constants: no gradient flows through them.
const testing::registered_formula formula("hard_negative_info_nce",
                                          {"queries", "keys", "negatives", "temperature"},
                                          []<class S>(const testing::formula_inputs<S>& in) {
                                            return testing::info_nce_rows(
                                                in, [&](index_t i, const std::vector<S>& q) {
                                                  std::vector<S> cosines;
                                                  for (const row& h : synthetic_rows(in, i)) {
                                                    S product = q[0] * h[0];
                                                    for (std::size_t d = 1; d < h.size(); ++d)
                                                      product += q[d] * h[d];
                                                    cosines.push_back(product);
                                                  }
                                                  return cosines;
                                                });
                                          });

struct setting {
  index_t rows, keys, negatives, cols;
  double temperature;
  index_t hardest;
  synthetic_counts counts;
  bool in_batch_negatives = true;
};

/// Inputs and destinations of one setting. Noise and steps are large enough to change the loss.
template <class T>
struct fixture {
  using C = compute_t<T>;
  setting s;
  test_matrix<T> queries, keys, negatives, d_queries, d_keys, d_negatives;
  C temperature;
  C d_temperature = static_cast<C>(nan_value);
  synthetic_negatives<T> synthesis;
  draws<T> drawn;

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
            .in_batch_negatives = s.in_batch_negatives,
            .negatives = differentiable(negatives.view(), d_negatives.view()),
            .learnable_temperature =
                differentiable(feaug::scalar(temperature), feaug::scalar(d_temperature))};
  }
  std::vector<double> gradients() const {
    std::vector<double> g = d_queries.values();
    for (double v : d_keys.values()) g.push_back(v);
    for (double v : d_negatives.values()) g.push_back(v);
    g.push_back(static_cast<double>(d_temperature));
    return g;
  }
};

}  // namespace

TEMPLATE_TEST_CASE("hard_negative_info_nce gives the same with a key and with given draws",
                   "[hard_negative_info_nce]", double, float, feaug::half, feaug::bfloat16) {
  fixture<TestType> f({5, 5, 7, 17, 0.1, 7, all_kinds});
  cpu_context ctx{.threads = 2};
  const auto options = f.options(reduce::mean);
  const auto loss =
      feaug::hard_negative_info_nce_with_gradients(ctx, f.q(), f.k(), f.synthesis, options);
  const std::vector<double> by_key = f.gradients();
  f.reset();
  f.synthesis.key = {};
  f.synthesis.drawn = f.drawn.given();
  CHECK(feaug::hard_negative_info_nce_with_gradients(ctx, f.q(), f.k(), f.synthesis, options) ==
        loss);
  CHECK(f.gradients() == by_key);
}

TEST_CASE("hard_negative_info_nce without synthetic negatives has the same bits as info_nce",
          "[hard_negative_info_nce]") {
  fixture<float> f({70, 70, 90, 9, 0.1, 4, {}});
  cpu_context ctx{.threads = 2};
  const auto options = f.options(reduce::mean);
  const float want = feaug::info_nce_with_gradients(ctx, f.q(), f.k(), options);
  const std::vector<double> gradients = f.gradients();
  f.reset();
  f.synthesis.hardest = 1024;  // more than there are: no search is made
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

TEST_CASE("hard_negative_info_nce draws the same for a micro-batch as for the batch",
          "[hard_negative_info_nce]") {
  fixture<double> f({6, 6, 9, 5, 0.2, 4, all_kinds, false});
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

TEST_CASE("draws of synthetic negatives lie in their ranges", "[hard_negative_info_nce]") {
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
  for (const int count : first) CHECK(std::abs(count - 4000 / 7) < 120);  // 5 deviations
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

TEST_CASE("hard_negative_info_nce: edge cases", "[hard_negative_info_nce]") {
  fixture<double> f({2, 2, 2, 3, 0.5, 2, {.mixed = 1}, false});
  cpu_context ctx{.threads = 1};
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
  SECTION("zero, huge and tiny rows give finite results down to a temperature of 1e-3") {
    f.temperature = 1e-3;
    f.queries.fill_row(0, 0.0);
    f.negatives.fill_row(0, 0.0);
    f.negatives.fill_row(1, 1e18);
    f.keys.fill_row(1, 1e-30);
    for (const synthetic_counts& counts :
         {all_kinds, synthetic_counts{.mixed = 5}, synthetic_counts{.sign_stepped = 3}}) {
      f.synthesis.counts = counts;
      CHECK(finite(run()));
      CHECK(finite(f.gradients()));
      for (index_t d = 0; d < 3; ++d) {
        CHECK(f.d_queries.get(0, d) == 0.0);
        CHECK(f.d_negatives.get(0, d) == 0.0);
      }
    }
  }
  SECTION("NaN and infinity in a query affect only its row") {
    f.queries.set(1, 2, GENERATE(nan_value, infinity));
    f.synthesis.counts = all_kinds;
    const std::vector<double> losses = run();
    CHECK(std::isfinite(losses[0]));
    CHECK(std::isnan(losses[1]));
    CHECK(std::isfinite(f.d_queries.get(0, 0)));
    CHECK(std::isnan(f.d_queries.get(1, 0)));
  }
  SECTION("NaN and infinity in a negative affect all rows") {
    f.negatives.set(1, 2, GENERATE(nan_value, infinity));
    f.synthesis.counts = all_kinds;
    for (const double loss : run()) CHECK(std::isnan(loss));
    CHECK(std::isnan(f.d_queries.get(0, 0)));
  }
}

}  // namespace hard_negative_info_nce_test
