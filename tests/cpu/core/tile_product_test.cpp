// Tile products, packing of tiles, and softmax weights of logits, for every instruction set,
// compared with double.
#include "feaug/cpu/core/tile_product.hpp"

#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "feaug/cpu/core/add_row.hpp"
#include "feaug/cpu/core/bfloat16_product.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/cpu/loss/concatenated_rows.hpp"
#include "feaug/cpu/loss/logit_weights.hpp"
#include "feaug/cpu/loss/tile_packing.hpp"
#include "support/instruction_sets.hpp"
#include "support/test_matrix.hpp"

namespace tile_product_test {

using feaug::index_t;
using feaug::instruction_set;
using testing::for_each_instruction_set;
using testing::test_matrix;

namespace {

template <class C>
std::vector<C> drawn(index_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<double> draw;
  std::vector<C> x(static_cast<std::size_t>(count));
  for (C& value : x) value = static_cast<C>(draw(generator));
  return x;
}

template <class C>
C& at(std::vector<C>& x, index_t i) {
  return x[static_cast<std::size_t>(i)];
}

/// Of products in pieces; null for 0 pieces.
std::uint16_t* scratch_of(int pieces) {
  static feaug::workspace memory;
  static feaug::workspace::scope scope(memory);
  static std::uint16_t* const scratch =
      scope.take<std::uint16_t>(feaug::cpu::piece_scratch_size(3));
  return pieces == 0 ? nullptr : scratch;
}

/// The sets that multiply pieces; where there is none, the newest, which multiplies floats.
template <class Body>
void for_each_piecewise_set(const Body& body) {
  const instruction_set best = feaug::best_instruction_set();
  body(std::min(instruction_set::avx512_bf16, best));
  if (best > instruction_set::avx512_bf16) body(best);
}

/// One shape. a is row-major or column-major, b is in panels or packed rows, c is overwritten or
/// accumulated to.
template <class C>
void compare_product(instruction_set set, index_t rows, index_t cols, index_t depth, bool turned,
                     bool in_panels, bool accumulate, int pieces = 0) {
  CAPTURE(rows, cols, depth, turned, in_panels, accumulate, pieces);
  const index_t panels = (cols + feaug::cpu::panel_width - 1) / feaug::cpu::panel_width;
  const index_t row_length = panels * feaug::cpu::panel_width;
  const index_t c_row = cols + 3;
  auto a = drawn<C>(rows * depth, 1);
  auto b = drawn<C>(row_length * depth, 2);
  const auto before = drawn<C>(rows * c_row, 3);
  auto c = before;
  const feaug::cpu::tile_product<C> product = {
      .a = a.data(),
      .a_row = turned ? 1 : depth,
      .a_depth = turned ? rows : 1,
      .b = b.data(),
      .b_panel = feaug::cpu::panel_width * (in_panels ? depth : 1),
      .b_depth = in_panels ? feaug::cpu::panel_width : row_length,
      .c = c.data(),
      .c_row = c_row,
      .rows = rows,
      .cols = cols,
      .depth = depth,
      .accumulate = accumulate,
      .pieces = {.count = pieces, .scratch = scratch_of(pieces)}};
  feaug::cpu::multiply(set, product);
  // One piece has 8 significant bits, two have 16.
  const double of_pieces = pieces == 1 ? 0x1p-7 : pieces == 2 ? 0x1p-15 : 0.0;
  const double allowed = of_pieces + 4.0 * static_cast<double>(depth + 1) *
                                         static_cast<double>(std::numeric_limits<C>::epsilon());
  for (index_t i = 0; i < rows; ++i) {
    for (index_t j = 0; j < c_row; ++j) {
      double want = static_cast<double>(before[static_cast<std::size_t>(i * c_row + j)]);
      double size = std::fabs(want);
      if (j < cols) {
        if (!accumulate) want = size = 0;
        for (index_t k = 0; k < depth; ++k) {
          const auto x = static_cast<double>(at(a, turned ? k * rows + i : i * depth + k));
          const index_t place =
              in_panels ? j / 32 * 32 * depth + k * 32 + j % 32 : k * row_length + j;
          const double term = x * static_cast<double>(at(b, place));
          want += term;
          size += std::fabs(term);
        }
      }
      REQUIRE(std::fabs(static_cast<double>(at(c, i * c_row + j)) - want) <= allowed * size);
    }
  }
}

template <class C>
void compare_products() {
  for_each_instruction_set([](instruction_set set) {
    for (const index_t rows : {1, 2, 3, 5, 12, 13, 31}) {
      for (const index_t cols : {16, 32, 48, 80}) {
        for (const index_t depth : {0, 1, 7, 33}) {
          for (int form = 0; form < 8; ++form)
            compare_product<C>(set, rows, cols, depth, (form & 1) != 0, (form & 2) != 0,
                               (form & 4) != 0);
        }
      }
    }
  });
}

/// x · b, of x.size() rows with panel_width columns, as the last of `rows` rows of a product.
std::vector<float> last_row(instruction_set set, index_t rows, const std::vector<float>& x,
                            const std::vector<float>& b, feaug::cpu::bfloat16_pieces pieces) {
  const auto depth = static_cast<index_t>(x.size());
  constexpr index_t cols = feaug::cpu::panel_width;
  std::vector<float> a(static_cast<std::size_t>(rows * depth), 3.0F);
  std::copy_n(x.data(), depth, a.data() + (rows - 1) * depth);
  std::vector<float> c(static_cast<std::size_t>(rows * cols));
  pieces.scratch = scratch_of(pieces.count);
  feaug::cpu::multiply<float>(set, {.a = a.data(),
                                    .a_row = depth,
                                    .a_depth = 1,
                                    .b = b.data(),
                                    .b_panel = 0,
                                    .b_depth = cols,
                                    .c = c.data(),
                                    .c_row = cols,
                                    .rows = rows,
                                    .cols = cols,
                                    .depth = depth,
                                    .pieces = pieces});
  return {c.end() - cols, c.end()};
}

/// The last of these sums, with drawn columns.
float last_sum(instruction_set set, index_t rows, const std::vector<float>& x, int pieces) {
  const auto depth = static_cast<index_t>(x.size());
  return last_row(set, rows, x, drawn<float>(depth * feaug::cpu::panel_width, 4), {.count = pieces})
      .back();
}

template <class T>
void compare_packing(index_t rows, index_t cols) {
  using C = feaug::compute_t<T>;
  CAPTURE(rows, cols);
  const auto source = test_matrix<T>::normal(rows + 2, cols, 1, 5);
  const auto factors = drawn<double>(rows + 2, 2);
  const feaug::cpu::concatenated_rows<T> stack = {
      .first = source.view(), .second = {}, .inverse = factors.data()};
  for_each_instruction_set([&](instruction_set set) {
    const index_t stride = feaug::cpu::packed_stride(cols);
    std::vector<C> packed(static_cast<std::size_t>(feaug::cpu::packed_size(rows, cols)), C{9});
    std::vector<C> panels(static_cast<std::size_t>(feaug::cpu::panels_size(rows, cols)), C{9});
    feaug::cpu::pack_rows(set, stack, 2, rows, cols, packed.data());
    feaug::cpu::turn_into_panels(set, packed.data(), rows, cols, panels.data());
    for (index_t i = 0; i < feaug::cpu::padded_columns(rows); ++i) {
      for (index_t j = 0; j < feaug::cpu::padded_columns(cols); ++j) {
        const bool is_there = i < rows && j < cols;
        const C want =
            is_there
                ? static_cast<C>(source.get(i + 2, j) * factors[static_cast<std::size_t>(i + 2)])
                : C{0};
        REQUIRE(at(packed, i * stride + j) == want);
        if (j < cols) REQUIRE(at(panels, i / 32 * 32 * cols + j * 32 + i % 32) == want);
      }
    }
  });
}

}  // namespace

TEST_CASE("tile products are sums of products", "[cpu]") {
  compare_products<float>();
  compare_products<double>();
}

TEST_CASE("products in pieces have the pieces' precision", "[cpu]") {
  for_each_piecewise_set([](instruction_set set) {
    for (int pieces = 1; pieces <= 3; ++pieces) {
      for (const index_t rows : {1, 16, 17, 45, 64}) {
        for (const index_t cols : {16, 32, 80, 272}) {
          for (const index_t depth : {16, 33, 129}) {
            for (int form = 0; form < 8; ++form)
              compare_product<float>(set, rows, cols, depth, (form & 1) != 0, (form & 2) != 0,
                                     (form & 4) != 0, pieces);
          }
        }
      }
    }
  });
}

TEST_CASE("a row of a product does not depend on the number of rows", "[cpu]") {
  const auto x = drawn<float>(70, 5);
  for_each_piecewise_set([&](instruction_set set) {
    for (int pieces = 0; pieces <= 3; ++pieces) {
      for (const index_t rows : {2, 16, 33, 64})
        CHECK(last_sum(set, rows, x, pieces) == last_sum(set, 1, x, pieces));
    }
  });
}

TEST_CASE("a NaN reaches its row of a product in pieces", "[cpu]") {
  // The second has all bits set: rounding must not carry into its sign.
  for (const std::uint32_t bits : {0x7FC00000U, 0xFFFFFFFFU, 0x7F800001U}) {
    auto x = drawn<float>(40, 6);
    x[7] = std::bit_cast<float>(bits);
    for_each_piecewise_set([&](instruction_set set) {
      for (int pieces = 0; pieces <= 3; ++pieces) CHECK(std::isnan(last_sum(set, 3, x, pieces)));
    });
  }
}

TEST_CASE("elements of 16 bits are multiplied exactly in two pieces", "[cpu]") {
  std::vector<float> x(16, 0.0F);
  x[3] = 1 + 0x1p-10F;  // b is drawn: its elements are rounded to 11 bits
  for (const bool are_all : {false, true}) {
    std::vector<float> b = drawn<float>(16 * feaug::cpu::panel_width, 4);
    for (float& value : b) value = feaug::load(feaug::store<feaug::half>(value));
    for_each_piecewise_set([&](instruction_set set) {
      const std::vector<float> c = last_row(set, 1, x, b, {.count = 2, .are_all = are_all});
      for (std::size_t j = 0; j < c.size(); ++j) {
        const float want = x[3] * b[3 * c.size() + j];
        if (are_all) CHECK(c[j] == want);
        CHECK(std::fabs(c[j] - want) <= 0x1p-15F * std::fabs(want));
      }
    });
  }
}

TEST_CASE("products in pieces take subnormal numbers as 0", "[cpu]") {
  const std::vector<float> x(40, 1e-40F);
  for_each_piecewise_set([&](instruction_set set) {
    const bool multiplies_pieces = set >= instruction_set::avx512_bf16;
    for (int pieces = 1; pieces <= 3; ++pieces)
      CHECK((last_sum(set, 1, x, pieces) == 0) == multiplies_pieces);
    CHECK(last_sum(set, 1, x, 0) != 0);
  });
}

TEST_CASE("packed rows equal the scaled rows, rounded once", "[cpu]") {
  for (const auto& [rows, cols] : std::vector<std::pair<index_t, index_t>>{
           {1, 1}, {16, 16}, {17, 5}, {44, 17}, {33, 40}, {70, 129}}) {
    compare_packing<float>(rows, cols);
    compare_packing<double>(rows, cols);
    compare_packing<feaug::half>(rows, cols);
    compare_packing<feaug::bfloat16>(rows, cols);
  }
}

TEST_CASE("weights of logits", "[cpu]") {
  const index_t count = 48;
  const float scale = 10;
  auto cosines = drawn<float>(count, 1);
  for (float& x : cosines) x = std::tanh(x);
  cosines[5] = -std::numeric_limits<float>::infinity();
  cosines[20] = 1;
  cosines[21] = -1;
  const auto others = drawn<float>(count, 2);
  const auto exponential = [&](std::size_t j) {
    return std::exp(static_cast<double>(scale) * static_cast<double>(cosines[j]) - 10.0);
  };
  double sum = 0;
  for (std::size_t j = 0; j < cosines.size(); ++j) sum += exponential(j);
  for_each_instruction_set([&](instruction_set set) {
    const auto row = [&](std::vector<float>& x) {
      return feaug::cpu::logit_row<float>{x.data(), count, scale, 10.0F};
    };
    auto x = cosines;
    CHECK(feaug::cpu::exponentials_of(set, row(x)) == Approx(sum).epsilon(1e-6));
    auto y = cosines;
    auto sums = others;
    CHECK(feaug::cpu::add_exponentials(set, row(y), sums.data()) == Approx(sum).epsilon(1e-6));
    auto z = cosines;
    feaug::cpu::weigh(set, row(z), 0.25F, others.data());
    for (std::size_t j = 0; j < cosines.size(); ++j) {
      CAPTURE(j);
      const double want = exponential(j);
      const auto other = static_cast<double>(others[j]);
      CHECK(static_cast<double>(x[j]) == Approx(want).epsilon(4e-6));
      CHECK(static_cast<double>(sums[j]) == Approx(other + want).epsilon(4e-6).margin(1e-7));
      CHECK(static_cast<double>(z[j]) == Approx(want * (0.25 + other)).epsilon(5e-6).margin(1e-9));
    }
    CHECK(x[5] == 0);
    CHECK(z[5] == 0);
    // NaN propagates; a subnormal result is 0.
    auto edge = std::vector<float>(16, -8.7F);
    edge[3] = std::numeric_limits<float>::quiet_NaN();
    edge[4] = -8.8F;
    edge[5] = 8.8F;
    const double edge_sum =
        feaug::cpu::exponentials_of(set, feaug::cpu::logit_row<float>{edge.data(), 16, 10, 0});
    CHECK(std::isnan(edge_sum));
    CHECK(std::isnan(edge[3]));
    CHECK(edge[4] == 0);
    CHECK(static_cast<double>(edge[0]) == Approx(std::exp(-87.0)).epsilon(1e-5));
    CHECK(static_cast<double>(edge[5]) == Approx(std::exp(88.0)).epsilon(1e-5));
  });
}

TEST_CASE("add_row adds exactly `count` elements", "[cpu]") {
  for_each_instruction_set([](instruction_set set) {
    for (const index_t count : {0, 1, 15, 16, 37}) {
      const auto from = drawn<float>(count + 1, 1);
      const auto before = drawn<float>(count + 1, 2);
      auto to = before;
      feaug::cpu::add_row(set, from.data(), count, to.data());
      for (index_t j = 0; j <= count; ++j) {
        const auto k = static_cast<std::size_t>(j);
        CHECK(to[k] == (j < count ? before[k] + from[k] : before[k]));
      }
    }
  });
}

}  // namespace tile_product_test
