// Vectorized draws equal single draws on every instruction set, and normal draws have the right
// distribution.
#include "feaug/cpu/core/draws.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <vector>

#include "feaug/core/random_normal.hpp"

namespace draws_test {

using feaug::cpu_context;
using feaug::index_t;
using feaug::instruction_set;
using feaug::normal_draw;
using feaug::random_key;
using feaug::uniform_draw;

namespace {

constexpr random_key key{.seed = 0x0123456789ABCDEF,
                         .step = 0xFFFFFFFE,
                         .stream = 0x8001,
                         .row_offset = (index_t{1} << 47) + 5};

std::vector<instruction_set> available() {
  std::vector<instruction_set> sets;
  for (const auto set :
       {instruction_set::portable, instruction_set::avx2, instruction_set::avx512}) {
    if (feaug::cpu::usable(set) == set) sets.push_back(set);
  }
  return sets;
}

/// Normal draws for a matrix of `rows` rows and `cols` columns, row-major.
std::vector<float> normals(instruction_set set, const random_key& with, index_t rows,
                           index_t cols) {
  const cpu_context ctx{.threads = 1, .instructions = set};
  std::vector<float> drawn(static_cast<std::size_t>(rows * cols));
  for (index_t i = 0; i < rows; ++i)
    feaug::cpu::fill_draws<normal_draw>(ctx, with, i, 0, cols, drawn.data() + i * cols);
  return drawn;
}

double squared(double x) { return x * x; }

/// Mean of f(x_i)·f(y_{i+from}): the correlation if f(x) and f(y) have mean 0 and variance 1.
template <class F>
double correlation(const std::vector<float>& x, std::size_t from, const std::vector<float>& y,
                   const F& f) {
  double sum = 0;
  const std::size_t count = x.size() - from;
  for (std::size_t i = 0; i < count; ++i)
    sum += f(static_cast<double>(x[i])) * f(static_cast<double>(y[i + from]));
  return sum / static_cast<double>(count);
}

}  // namespace

TEST_CASE("vectorized draws are bit-identical to single draws", "[random]") {
  for (const auto set : available()) {
    CAPTURE(static_cast<int>(set));
    const cpu_context ctx{.threads = 1, .instructions = set};
    for (const index_t first : {index_t{0}, index_t{4}, index_t{100}, (index_t{1} << 34) - 256}) {
      for (const index_t count : {0, 1, 3, 4, 5, 31, 32, 33, 63, 64, 65, 127, 128, 200, 256}) {
        CAPTURE(first, count);
        const auto size = static_cast<std::size_t>(count);
        std::vector<float> uniform(size + 1, -7.0F);
        std::vector<float> normal(size + 1, -7.0F);
        feaug::cpu::fill_draws<uniform_draw>(ctx, key, 3, first, count, uniform.data());
        feaug::cpu::fill_draws<normal_draw>(ctx, key, 3, first, count, normal.data());
        bool same = true;
        for (index_t j = 0; j < count; ++j) {
          const auto at = static_cast<std::size_t>(j);
          same = same && uniform[at] == feaug::draw_uniform(key, 3, first + j) &&
                 normal[at] == feaug::draw_normal(key, 3, first + j);
        }
        CHECK(same);
        CHECK((uniform[size] == -7.0F && normal[size] == -7.0F));
      }
    }
    // Half a million pairs, so that rare values of the radius and angle words occur.
    const std::vector<float> many = normals(set, {.seed = 8}, 128, 8192);
    std::size_t different = 0;
    for (index_t i = 0; i < 128; ++i) {
      for (index_t j = 0; j < 8192; ++j) {
        if (many[static_cast<std::size_t>(i * 8192 + j)] != feaug::draw_normal({.seed = 8}, i, j)) {
          ++different;
        }
      }
    }
    CHECK(different == 0);
  }
}

#if FEAUG_X86
namespace {

constexpr std::uint32_t radius_words[16] = {0xFFFFFFFFU, 0xFFFFFFFEU, 0U,          1U,
                                            0xFFFFFF7FU, 0xFFFFFF80U, 0x7FFFFFFFU, 0x80000000U,
                                            0xB504F333U, 0xB504F2FFU, 0x00FFFFFFU, 0x01000000U,
                                            0x01000001U, 0xFFFFU,     0x10000U,    0xFFFFFFFFU};
constexpr std::uint32_t angle_words[16] = {0U,          0x1FFFFFFFU, 0x20000000U, 0x3FFFFFFFU,
                                           0x40000000U, 0x5FFFFFFFU, 0x60000000U, 0x7FFFFFFFU,
                                           0x80000000U, 0x9FFFFFFFU, 0xA0000000U, 0xC0000000U,
                                           0xDFFFFFFFU, 0xE0000000U, 0xFFFFFFFFU, 1U};

FEAUG_AVX2 void normals_avx2(const std::uint32_t* radius, const std::uint32_t* angle, float* even,
                             float* odd) {
  __m256i results[2];
  feaug::cpu::detail::normals_from_words(
      _mm256_loadu_si256(reinterpret_cast<const __m256i*>(radius)),
      _mm256_loadu_si256(reinterpret_cast<const __m256i*>(angle)), results[0], results[1]);
  _mm256_storeu_ps(even, _mm256_castsi256_ps(results[0]));
  _mm256_storeu_ps(odd, _mm256_castsi256_ps(results[1]));
}

FEAUG_AVX512 void normals_avx512(const std::uint32_t* radius, const std::uint32_t* angle,
                                 float* even, float* odd) {
  __m512i results[2];
  feaug::cpu::detail::normals_from_words(_mm512_loadu_si512(radius), _mm512_loadu_si512(angle),
                                         results[0], results[1]);
  _mm512_storeu_ps(even, _mm512_castsi512_ps(results[0]));
  _mm512_storeu_ps(odd, _mm512_castsi512_ps(results[1]));
}

}  // namespace

TEST_CASE("vectorized normals of extreme words equal normal_from_words", "[random]") {
  for (const auto set : available()) {
    if (set == instruction_set::portable) continue;
    float even[16];
    float odd[16];
    if (set == instruction_set::avx2) {
      for (int half = 0; half < 16; half += 8)
        normals_avx2(radius_words + half, angle_words + half, even + half, odd + half);
    } else {
      normals_avx512(radius_words, angle_words, even, odd);
    }
    for (int i = 0; i < 16; ++i) {
      CAPTURE(static_cast<int>(set), i);
      const auto want = feaug::normal_from_words(radius_words[i], angle_words[i]);
      CHECK(even[i] == want.even);
      CHECK(odd[i] == want.odd);
    }
  }
}
#endif

TEST_CASE("row kernels with draws: any alignment, streamed or not, in place", "[random]") {
  constexpr float scale = 0.3F;
  constexpr float keep = 0.6F;
  for (const auto set : available()) {
    const cpu_context ctx{.threads = 1, .instructions = set};
    for (const bool streams : {false, true}) {
      for (const index_t cols : {1, 5, 64, 150, 1100}) {
        for (index_t offset = 0; offset < 17; ++offset) {
          CAPTURE(static_cast<int>(set), streams, cols, offset);
          std::vector<float> x(static_cast<std::size_t>(cols));
          for (std::size_t j = 0; j < x.size(); ++j) x[j] = static_cast<float>(j % 13) - 6.0F;
          x.back() = std::numeric_limits<float>::quiet_NaN();
          std::vector<float> noisy(x.size() + 20, 9.0F);
          std::vector<float> kept = noisy;
          std::copy(x.begin(), x.end(), kept.begin() + offset);
          float* const in_place = kept.data() + offset;
          feaug::cpu::add_normal_row(ctx, key, 2, cols, x.data(), scale, noisy.data() + offset,
                                     streams);
          feaug::cpu::keep_some_row(ctx, key, 2, cols, in_place, keep, in_place, streams);
          feaug::cpu::end_non_temporal();
          std::size_t wrong = 0;
          for (std::size_t at = 0; at < noisy.size(); ++at) {
            const index_t j = static_cast<index_t>(at) - offset;
            if (j < 0 || j >= cols) {
              wrong += noisy[at] == 9.0F && kept[at] == 9.0F ? 0 : 1;
              continue;
            }
            const float value = x[static_cast<std::size_t>(j)];
            if (j == cols - 1) {
              wrong += std::isnan(noisy[at]) && std::isnan(kept[at]) ? 0 : 1;
              continue;
            }
            // With FMA the compiler may fuse the reference's product and sum, which rounds once.
            const float want = value + scale * feaug::draw_normal(key, 2, j);
            const float difference = std::abs(noisy[at] - want);
            wrong += difference <= 1e-6F ? 0 : 1;
            const float factor = feaug::draw_uniform(key, 2, j) < keep ? 1.0F : 0.0F;
            wrong += kept[at] == value * factor ? 0 : 1;
          }
          CHECK(wrong == 0);
        }
      }
    }
  }
}

TEST_CASE("a draw equal to the probability does not keep its feature", "[random]") {
  constexpr index_t cols = 200;
  const float drawn = feaug::draw_uniform(key, 2, 77);
  for (const auto set : available()) {
    const cpu_context ctx{.threads = 1, .instructions = set};
    for (const float probability : {0.0F, 0x1p-24F, std::nextafter(drawn, 0.0F), drawn,
                                    std::nextafter(drawn, 1.0F), 1.0F - 0x1p-24F, 1.0F}) {
      CAPTURE(static_cast<int>(set), probability);
      std::vector<float> x(cols, 1.0F);
      feaug::cpu::keep_some_row(ctx, key, 2, cols, x.data(), probability, x.data(), false);
      std::size_t wrong = 0;
      for (index_t j = 0; j < cols; ++j) {
        const float want = feaug::draw_uniform(key, 2, j) < probability ? 1.0F : 0.0F;
        wrong += x[static_cast<std::size_t>(j)] == want ? 0 : 1;
      }
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("drawn normals have the normal distribution, for every instruction set", "[random]") {
  constexpr index_t rows = 512;
  constexpr index_t cols = 4096;
  for (const auto set : available()) {
    CAPTURE(static_cast<int>(set));
    std::vector<float> sample = normals(set, {.seed = 21, .step = 4}, rows, cols);
    const auto n = static_cast<double>(sample.size());
    // Moments: the tolerance is 4.5 standard deviations of the moment over samples of n normal
    // numbers. A correct sample exceeds it with probability 7e-6 per moment.
    double powers[4] = {};
    for (const float value : sample) {
      const auto x = static_cast<double>(value);
      powers[0] += x;
      powers[1] += x * x;
      powers[2] += x * x * x;
      powers[3] += x * x * x * x;
    }
    CHECK(std::abs(powers[0] / n) < 4.5 * std::sqrt(1 / n));
    CHECK(std::abs(powers[1] / n - 1) < 4.5 * std::sqrt(2 / n));
    CHECK(std::abs(powers[2] / n) < 4.5 * std::sqrt(15 / n));      // E x⁶ = 15
    CHECK(std::abs(powers[3] / n - 3) < 4.5 * std::sqrt(96 / n));  // E x⁸ − 9 = 96
    // Tails. P(|x| > 4) = 6.334e-5: 132.8 of 2²¹ expected, with standard deviation 11.5.
    // P(|x| > 5) = 5.733e-7: 1.2 expected; 10 or more in one of four million samples.
    // With probability e^−14.2 no number exceeds 4.5 in magnitude.
    const auto beyond = [&](float limit) {
      return std::count_if(sample.begin(), sample.end(),
                           [=](float x) { return std::abs(x) > limit; });
    };
    CHECK(std::abs(static_cast<double>(beyond(4.0F)) - 6.334e-5 * n) <
          4.5 * std::sqrt(6.334e-5 * n));
    CHECK(beyond(5.0F) < 10);
    CHECK(beyond(4.5F) > 0);
    CHECK(beyond(6.67F) == 0);  // √(2 ln 2³²)
    // Kolmogorov–Smirnov: √n times the largest distance exceeds t with probability 2·exp(−2t²),
    // which is 1e-5 for t = 2.46.
    std::sort(sample.begin(), sample.end());
    double distance = 0;
    for (std::size_t i = 0; i < sample.size(); ++i) {
      const double p = 0.5 * std::erfc(-static_cast<double>(sample[i]) / std::numbers::sqrt2);
      distance =
          std::max({distance, p - static_cast<double>(i) / n, static_cast<double>(i + 1) / n - p});
    }
    CHECK(distance * std::sqrt(n) < 2.46);
  }
}

TEST_CASE("drawn normals are uncorrelated across columns, rows, streams, steps and seeds",
          "[random]") {
  constexpr index_t rows = 256;
  constexpr index_t cols = 1024;
  const auto centred_square = [](double x) { return (squared(x) - 1) / std::numbers::sqrt2; };
  const auto itself = [](double x) { return x; };
  for (const auto set : available()) {
    const random_key base{.seed = 22, .step = 9};
    const std::vector<float> x = normals(set, base, rows, cols);
    const auto check = [&](std::size_t from, const std::vector<float>& y) {
      CAPTURE(static_cast<int>(set), from);
      // Products of independent numbers of variance 1 have variance 1; 4.5 deviations are allowed.
      const double allowed = 4.5 / std::sqrt(static_cast<double>(x.size() - from));
      CHECK(std::abs(correlation(x, from, y, itself)) < allowed);
      CHECK(std::abs(correlation(x, from, y, centred_square)) < allowed);  // finds correlated radii
    };
    for (const std::size_t columns_apart : {1U, 2U, 3U, 4U, 8U, 16U, 32U, 64U})
      check(columns_apart, x);
    check(static_cast<std::size_t>(cols), x);  // rows
    check(0, normals(set, base.streams_later(1), rows, cols));
    check(0, normals(set, {.seed = 22, .step = 10}, rows, cols));
    check(0, normals(set, {.seed = 23, .step = 9}, rows, cols));
  }
}

}  // namespace draws_test
