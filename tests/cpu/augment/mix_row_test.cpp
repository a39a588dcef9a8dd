// mix_row (weighted sum of two rows) for every instruction set, compared with the sum computed in
// double. Non-temporal stores and in-place output must give the same bits.
#include "feaug/cpu/augment/mix_row.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "support/instruction_sets.hpp"

namespace mix_row_test {

using feaug::compute_t;
using feaug::index_t;
using testing::for_each_instruction_set;

namespace {

/// A row that starts `offset` elements after the start of a cache line.
template <class T>
class row_at {
 public:
  row_at(index_t offset, index_t cols, unsigned seed)
      : storage_(static_cast<std::size_t>(offset + cols + 64)) {
    std::mt19937 generator(seed);
    std::normal_distribution<float> draw;
    for (T& x : storage_) x = feaug::store<T>(static_cast<compute_t<T>>(draw(generator)));
    first_ = feaug::cpu::until_cache_line(storage_.data()) + offset;
  }
  [[nodiscard]] T* data() { return storage_.data() + first_; }
  [[nodiscard]] std::vector<T>& storage() { return storage_; }

 private:
  std::vector<T> storage_;
  index_t first_ = 0;
};

template <class T>
double value(T x) {
  return static_cast<double>(feaug::load(x));
}

}  // namespace

TEMPLATE_TEST_CASE("mix_row is the weighted sum of two rows", "[mix_row]", float, double,
                   feaug::bfloat16) {
  using T = TestType;
  using C = compute_t<T>;
  constexpr double unit = sizeof(T) == 2 ? 0x1p-8 : std::numeric_limits<C>::epsilon();
  for_each_instruction_set([](feaug::instruction_set set) {
    for (const index_t cols : {0, 1, 7, 15, 16, 17, 31, 32, 48, 67, 300}) {
      for (const index_t offset : {0, 1, 5, 15}) {
        CAPTURE(cols, offset);
        row_at<T> x(3, cols, 1);
        row_at<T> y(0, cols, 2);
        row_at<T> out(offset, cols, 3);
        const std::vector<T> before = out.storage();
        const feaug::cpu::mixed_rows<T> from = {
            .x = x.data(), .y = y.data(), .of_x = C(0.7F), .of_y = C(-1.3F), .next_y = x.data()};
        feaug::cpu::mix_row<T>(set, from, cols, false, out.data());
        for (index_t j = 0; j < cols; ++j) {
          const double a = static_cast<double>(from.of_x) * value(x.data()[j]);
          const double b = static_cast<double>(from.of_y) * value(y.data()[j]);
          CHECK(std::abs(value(out.data()[j]) - (a + b)) <= unit * (std::abs(a) + std::abs(b)));
        }
        row_at<T> streamed(offset, cols, 3);
        feaug::cpu::mix_row<T>(set, from, cols, true, streamed.data());
        feaug::cpu::end_non_temporal();
        row_at<T> over_x = x;
        feaug::cpu::mix_row<T>(
            set, {.x = over_x.data(), .y = y.data(), .of_x = from.of_x, .of_y = from.of_y}, cols,
            false, over_x.data());
        row_at<T> over_y = y;
        feaug::cpu::mix_row<T>(
            set, {.x = x.data(), .y = over_y.data(), .of_x = from.of_x, .of_y = from.of_y}, cols,
            false, over_y.data());
        for (index_t j = 0; j < cols; ++j) {
          CHECK(value(streamed.data()[j]) == value(out.data()[j]));
          CHECK(value(over_x.data()[j]) == value(out.data()[j]));
          CHECK(value(over_y.data()[j]) == value(out.data()[j]));
        }
        // Nothing outside the row is written.
        const T* const first = out.data();
        for (std::size_t k = 0; k < before.size(); ++k) {
          const T* const at = out.storage().data() + k;
          if (at < first || at >= first + cols) CHECK(value(*at) == value(before[k]));
        }
      }
    }
  });
}

TEST_CASE("weights 1 and 0 copy a row, and NaN propagates", "[mix_row]") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for_each_instruction_set([nan](feaug::instruction_set set) {
    std::vector<float> x(37, 1.1F);
    std::vector<float> y(37, -2.3F);
    x[3] = nan;
    y[30] = nan;
    std::vector<float> out(37);
    feaug::cpu::mix_row<float>(set, {.x = x.data(), .y = y.data(), .of_x = 1, .of_y = 0}, 37, false,
                               out.data());
    for (std::size_t j = 0; j < out.size(); ++j) {
      if (j == 3 || j == 30) {
        CHECK(std::isnan(out[j]));
      } else {
        CHECK(out[j] == x[j]);
      }
    }
  });
}

}  // namespace mix_row_test
