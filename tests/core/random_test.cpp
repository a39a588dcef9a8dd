// Tests of the random numbers: Philox's published test vectors, the counter's layout, the accuracy
// of log, exp, sine and cosine, and the distributions.
#include "feaug/core/random.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>
#include <vector>

#include "feaug/core/random_beta.hpp"
#include "feaug/core/random_normal.hpp"
#include "feaug/core/random_permutation.hpp"

namespace random_test {

using feaug::index_t;
using feaug::random_key;

namespace {

/// The Kolmogorov–Smirnov distance of a sample from a distribution, times √n. For a correct sample
/// it exceeds 1.95 with probability 0.001.
template <class Distribution>
double kolmogorov_smirnov(std::vector<double> sample, const Distribution& distribution) {
  std::sort(sample.begin(), sample.end());
  const auto n = static_cast<double>(sample.size());
  double distance = 0;
  for (std::size_t i = 0; i < sample.size(); ++i) {
    const double p = distribution(sample[i]);
    distance =
        std::max({distance, p - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - p});
  }
  return distance * std::sqrt(n);
}

template <class Draw>
std::vector<double> sample_of(std::size_t count, const Draw& draw) {
  std::vector<double> all;
  for (std::size_t i = 0; i < count; ++i)
    all.push_back(static_cast<double>(draw(static_cast<index_t>(i))));
  return all;
}

double mean(const std::vector<double>& x) {
  double sum = 0;
  for (double v : x) sum += v;
  return sum / static_cast<double>(x.size());
}

double correlation(const std::vector<double>& x, const std::vector<double>& y) {
  const double mx = mean(x);
  const double my = mean(y);
  double xy = 0;
  double xx = 0;
  double yy = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    xy += (x[i] - mx) * (y[i] - my);
    xx += (x[i] - mx) * (x[i] - mx);
    yy += (y[i] - my) * (y[i] - my);
  }
  return xy / std::sqrt(xx * yy);
}

}  // namespace

TEST_CASE("words are Philox's output at the documented counter", "[random]") {
  // Random123's test vectors for philox4x32-10. Counter and key all zeros.
  const auto zeros = feaug::draw_block({}, 0, 0);
  CHECK(zeros.words[0] == 0x6627e8d5U);
  CHECK(zeros.words[1] == 0xe169c58dU);
  CHECK(zeros.words[2] == 0xbc57ac4cU);
  CHECK(zeros.words[3] == 0x9b00dbd8U);
  // Counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0: bits 32–47 of the row
  // are 8a2e, the stream is 1319.
  const random_key key{.seed = 0x299f31d0a4093822U, .step = 0x03707344U, .stream = 0x1319};
  const auto digits_of_pi =
      feaug::draw_block(key, static_cast<index_t>(0x8a2e85a308d3), 0x243f6a88U);
  CHECK(digits_of_pi.words[0] == 0xd16cfe09U);
  CHECK(digits_of_pi.words[1] == 0x94fdccebU);
  CHECK(digits_of_pi.words[2] == 0x5001e420U);
  CHECK(digits_of_pi.words[3] == 0x24126ea1U);
  CHECK(feaug::draw_word({}, 0, 2) == zeros.words[2]);
}

TEST_CASE("row_offset is added to the row; streams_later changes the stream", "[random]") {
  const random_key whole{.seed = 5, .step = 3};
  random_key part = whole;
  part.row_offset = 40;
  CHECK(feaug::draw_word(part, 2, 7) == feaug::draw_word(whole, 42, 7));
  CHECK(feaug::draw_word(whole.streams_later(1), 2, 7) != feaug::draw_word(whole, 2, 7));
  CHECK(whole.streams_later(3).stream == 3);
}

TEST_CASE("exact logarithm, exponential, sine and cosine are within an ulp or two", "[random]") {
  double worst_log = 0;
  double worst_exp = 0;
  double worst_turn = 0;
  for (std::uint32_t i = 0; i < 200000; ++i) {
    const std::uint32_t word = i * 21474U + 1U;
    const float u = feaug::positive_uniform_from_word(word);
    const double log_error =
        std::abs(static_cast<double>(feaug::exact::log(u)) - std::log(static_cast<double>(u)));
    worst_log =
        std::max(worst_log, log_error / std::max(1e-3, std::abs(std::log(static_cast<double>(u)))));
    const float x = -80.0F + static_cast<float>(i) * 8e-4F;
    worst_exp = std::max(
        worst_exp,
        std::abs(static_cast<double>(feaug::exact::exp(x)) / std::exp(static_cast<double>(x)) - 1));
    const double angle = static_cast<double>(word) * 2 * std::numbers::pi / 4294967296.0;
    const auto turn = feaug::exact::of_turn(word);
    worst_turn = std::max({worst_turn, std::abs(static_cast<double>(turn.sine) - std::sin(angle)),
                           std::abs(static_cast<double>(turn.cosine) - std::cos(angle))});
  }
  CHECK(worst_log < 2.4e-7);
  CHECK(worst_exp < 2.4e-7);
  CHECK(worst_turn < 1.2e-7);
  CHECK(feaug::exact::exp(-100.0F) == 0.0F);
  CHECK(feaug::exact::log(1.0F) == 0.0F);
}

TEST_CASE("uniform draws are uniform", "[random]") {
  const auto sample =
      sample_of(100000, [](index_t i) { return feaug::draw_uniform({.seed = 1}, i, i % 9); });
  CHECK(kolmogorov_smirnov(sample, [](double x) { return x; }) < 1.95);
  CHECK(*std::max_element(sample.begin(), sample.end()) < 1.0);
  CHECK(feaug::uniform_from_word(0xFFFFFFFFU) < 1.0F);
}

TEST_CASE("normal draws are normal, tails and pairs included", "[random]") {
  const std::size_t count = 200000;
  const auto normal = [](double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); };
  const auto even =
      sample_of(count, [](index_t i) { return feaug::draw_normal({.seed = 2}, i, 0); });
  const auto odd =
      sample_of(count, [](index_t i) { return feaug::draw_normal({.seed = 2}, i, 1); });
  CHECK(kolmogorov_smirnov(even, normal) < 1.95);
  CHECK(kolmogorov_smirnov(odd, normal) < 1.95);
  CHECK(std::abs(correlation(even, odd)) < 4 / std::sqrt(static_cast<double>(count)));
  const auto beyond_three =
      std::count_if(even.begin(), even.end(), [](double x) { return std::abs(x) > 3; });
  CHECK(static_cast<double>(beyond_three) ==
        Approx(0.0026998 * static_cast<double>(count)).epsilon(0.2));
  for (double x : even) REQUIRE(std::isfinite(x));
  CHECK(std::isfinite(feaug::normal_from_words(0, 0).even));
  CHECK(feaug::normal_from_words(0xFFFFFFFFU, 0).even == 0.0F);
}

TEST_CASE("draws of neighbouring rows, columns, streams, steps and seeds are uncorrelated",
          "[random]") {
  const std::size_t count = 100000;
  const random_key key{.seed = 3};
  const auto base = sample_of(count, [&](index_t i) { return feaug::draw_uniform(key, i, 0); });
  const double allowed = 4 / std::sqrt(static_cast<double>(count));
  const auto other = [&](const random_key& k, index_t row, index_t column) {
    return sample_of(count, [&](index_t i) { return feaug::draw_uniform(k, i + row, column); });
  };
  CHECK(std::abs(correlation(base, other(key, 1, 0))) < allowed);
  CHECK(std::abs(correlation(base, other(key, 0, 1))) < allowed);
  CHECK(std::abs(correlation(base, other(key, 0, 4))) < allowed);
  CHECK(std::abs(correlation(base, other(key.streams_later(1), 0, 0))) < allowed);
  CHECK(std::abs(correlation(base, other({.seed = 3, .step = 1}, 0, 0))) < allowed);
  CHECK(std::abs(correlation(base, other({.seed = 4}, 0, 0))) < allowed);
}

TEST_CASE("Beta draws have their mean, variance and range, for any shapes", "[random]") {
  const auto [a, b] = GENERATE(table<float, float>(
      {{1.0F, 1.0F}, {2.0F, 2.0F}, {0.3F, 1.7F}, {0.05F, 0.05F}, {40.0F, 3.0F}}));
  CAPTURE(a, b);
  const std::size_t count = 40000;
  const auto sample = sample_of(
      count, [a = a, b = b](index_t i) { return feaug::draw_beta({.seed = 4}, i, a, b); });
  const double sum = static_cast<double>(a) + static_cast<double>(b);
  const double m = static_cast<double>(a) / sum;
  const double variance = static_cast<double>(a) * static_cast<double>(b) / (sum * sum * (sum + 1));
  CHECK(mean(sample) == Approx(m).margin(5 * std::sqrt(variance / static_cast<double>(count))));
  double squares = 0;
  for (double x : sample) {
    REQUIRE((x >= 0 && x <= 1));
    squares += (x - m) * (x - m);
  }
  CHECK(squares / static_cast<double>(count) == Approx(variance).epsilon(0.05));
  if (a == 1.0F && b == 1.0F) CHECK(kolmogorov_smirnov(sample, [](double x) { return x; }) < 1.95);
  if (a == 2.0F)
    CHECK(kolmogorov_smirnov(sample, [](double x) { return x * x * (3 - 2 * x); }) < 1.95);
}

TEST_CASE("a permutation contains every row once, and all orders are equally likely", "[random]") {
  std::vector<index_t> order(1000);
  feaug::draw_permutation({.seed = 5}, order.data(), 1000);
  std::vector<index_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (index_t i = 0; i < 1000; ++i) CHECK(sorted[static_cast<std::size_t>(i)] == i);
  std::vector<int> seen(6);
  for (std::uint64_t step = 0; step < 6000; ++step) {
    std::vector<index_t> three(3);
    feaug::draw_permutation({.seed = 5, .step = step}, three.data(), 3);
    ++seen[static_cast<std::size_t>(2 * three[0] + (three[1] > three[2] ? 1 : 0))];
  }
  for (int times : seen) CHECK(std::abs(times - 1000) < 130);  // 4.5 standard deviations
}

}  // namespace random_test
