#include <array>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "feaug/cpu/queue/nearest.hpp"
#include "feaug/cpu/queue/pruned_scan.hpp"
#include "feaug/cpu/queue/support_queue.hpp"
#include "queue/pruned_search.hpp"
#include "support/instruction_sets.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace pruning_test {

using feaug::bfloat16;
using feaug::half;
using feaug::index_t;
using feaug::instruction_set;
using testing::clustered;
using testing::infinity;
using testing::message_of;
using testing::not_a_number;
using testing::owned_queue;
using testing::owned_shadow;
using testing::require_exact;
using testing::test_matrix;
namespace cpu = feaug::cpu;

TEMPLATE_TEST_CASE("pruning finds the same rows as scoring every row", "[pruning]", float, double,
                   half, bfloat16) {
  const bool normalize = GENERATE(true, false);
  struct shape {
    index_t queries, capacity, pushed, cols;
  };
  // One row; a partly filled block; a wrapped queue; odd features; more than a group of 16 queries.
  const auto [n, capacity, pushed, cols] = GENERATE(
      shape{1, 1, 1, 1}, shape{3, 40, 33, 5}, shape{17, 300, 431, 33}, shape{41, 700, 700, 64});
  owned_queue<TestType> queue(capacity, cols, normalize);
  queue.push(test_matrix<TestType>::normal(pushed, cols, 1));
  const auto queries = test_matrix<TestType>::normal(n, cols, 2, 5);
  for (const index_t k : {1, 5, 32}) require_exact(queue.space(), queries, std::min(k, queue.size));
}

TEST_CASE("pruning leaves few rows to score", "[pruning]") {
  owned_queue<float> queue(4096, 128, true);
  queue.push(
      GENERATE(test_matrix<float>::normal(4096, 128, 3), clustered<float>(4096, 128, 3, 500, 0.5)));
  const auto queries = clustered<float>(32, 128, 4, 500, 0.5);
  const auto counts = require_exact(queue.space(), queries, 1);
  CHECK(counts.scored < 32 * 40);
  CHECK(counts.met < 32 * 200);
  CHECK(counts.given_up == 0);
}

TEST_CASE("pruning gives up at any row if it excludes too few rows", "[pruning]") {
  constexpr index_t rows = 2000;
  owned_queue<float> queue(rows, 32, true);
  auto pushed = test_matrix<float>::normal(rows, 32, 5);
  const auto queries = test_matrix<float>::normal(20, 32, 6);
  const auto copy = [&](index_t from, index_t begin, index_t end) {
    for (index_t i = begin; i < end; ++i) {
      for (index_t j = 0; j < 32; ++j) pushed.set(i, j, pushed.get(from, j));
    }
  };
  SECTION("all rows are the same") {
    copy(0, 0, rows);
    queue.push(pushed);
    for (const index_t k : {1, 5, 32})
      CHECK(require_exact(queue.space(), queries, k).given_up == 20);
  }
  SECTION("the last half is a copy of the nearest") {
    for (index_t j = 0; j < 32; ++j) pushed.set(1000, j, queries.get(0, j));
    copy(1000, 1001, rows);
    queue.push(pushed);
    test_matrix<float> same(20, 32);
    for (index_t i = 0; i < 20; ++i) {
      for (index_t j = 0; j < 32; ++j) same.set(i, j, queries.get(0, j));
    }
    const auto counts = require_exact(queue.space(), same, 3);
    CHECK(counts.given_up == 20);
    CHECK(counts.met < 20 * 1000);
  }
  SECTION("every row is nearer than the one before") {
    for (index_t i = 0; i < rows; ++i) {
      for (index_t j = 0; j < 32; ++j)
        pushed.set(i, j, queries.get(0, j) + pushed.get(0, j) * 20.0 / static_cast<double>(i + 1));
    }
    queue.push(pushed);
    require_exact(queue.space(), queries, 1);
    require_exact(queue.space(), queries, 32);
  }
}

TEMPLATE_TEST_CASE("rows that are difficult for the bound", "[pruning]", float, double, half,
                   bfloat16) {
  const bool normalize = GENERATE(true, false);
  owned_queue<TestType> queue(600, 20, normalize);
  auto rows = test_matrix<TestType>::normal(600, 20, 7);
  auto queries = test_matrix<TestType>::normal(9, 20, 8);
  SECTION("one component so large that the codes of the others are 0") {
    for (index_t i = 0; i < 600; ++i) {
      for (index_t j = 1; j < 20; ++j) rows.set(i, j, 1e-3 * rows.get(i, j));
      rows.set(i, 0, i % 3 == 0 ? -1.0 : 1.0);
    }
    for (index_t i = 0; i < 9; ++i) queries.set(i, 0, i % 2 == 0 ? 0.0 : 500.0);
  }
  SECTION("duplicates, and rows that differ slightly") {
    for (index_t i = 60; i < 600; ++i) {
      for (index_t j = 0; j < 20; ++j) rows.set(i, j, rows.get(i % 60, j));
      rows.set(i, i % 20, rows.get(i, i % 20) * (1 + 1e-3 * static_cast<double>(i % 2)));
    }
    for (index_t i = 0; i < 9; ++i) {
      for (index_t j = 0; j < 20; ++j) queries.set(i, j, rows.get(i, j));
    }
  }
  SECTION("zero rows and a zero query") {
    for (index_t i = 0; i < 600; i += 2) rows.fill_row(i, 0);
    for (index_t j = 0; j < 20; ++j) queries.set(1, j, -std::fabs(queries.get(1, j)));
    for (index_t i = 1; i < 600; i += 2) {
      for (index_t j = 0; j < 20; ++j) rows.set(i, j, std::fabs(rows.get(i, j)));
    }
    queries.fill_row(0, 0);
  }
  SECTION("rows and queries that are not finite") {
    for (index_t i = 0; i < 580; ++i) rows.set(i, i % 20, i % 2 == 0 ? not_a_number : -infinity);
    queries.set(4, 4, not_a_number);
    queries.set(5, 0, infinity);
  }
  SECTION("all rows not finite") { rows.fill(not_a_number); }
  SECTION("rows of every length") {
    const double most = std::is_same_v<TestType, half> ? 4.0 : 30.0;
    for (index_t i = 0; i < 600; ++i) {
      const double scale = std::pow(10.0, most * (static_cast<double>(i % 61) / 30.0 - 1.0));
      for (index_t j = 0; j < 20; ++j) rows.set(i, j, rows.get(i, j) * scale);
    }
    for (index_t j = 0; j < 20; ++j) {
      queries.set(2, j, queries.get(2, j) * 1e-13);
      queries.set(3, j, queries.get(3, j) * (std::is_same_v<TestType, half> ? 1e3 : 1e35));
    }
  }
  queue.push(rows);
  for (const index_t k : {1, 5, 32}) require_exact(queue.space(), queries, k);
  // With `unit`, the rows are treated as unit rows although they are not.
  cpu::search_space<TestType> raw = {.rows = rows.view(), .unit = normalize};
  require_exact(raw, queries, 2);
}

TEST_CASE("very large and very small rows and queries in double are ranked", "[pruning]") {
  auto rows = test_matrix<double>::normal(200, 18, 9);
  auto queries = test_matrix<double>::normal(6, 18, 10);
  for (index_t i = 0; i < 200; ++i) {
    const double scale = std::array{1e200, 1e-200, 1.0, 1e-310}[static_cast<std::size_t>(i % 4)];
    for (index_t j = 0; j < 18; ++j) rows.set(i, j, rows.get(i, j) * scale);
  }
  for (index_t j = 0; j < 18; ++j) {
    queries.set(0, j, queries.get(0, j) * 1e150);
    queries.set(1, j, queries.get(1, j) * 1e-250);
  }
  for (const bool unit : {true, false}) {
    const cpu::search_space<double> space = {.rows = rows.view(), .unit = unit};
    for (const index_t k : {1, 7}) require_exact(space, queries, k);
  }
}

TEST_CASE("pruning respects ids and similarity ranges", "[pruning]") {
  const bool normalize = GENERATE(true, false);
  owned_queue<float> queue(900, 24, normalize);
  queue.push(clustered<float>(900, 24, 11, 30, 0.4));
  const auto queries = clustered<float>(25, 24, 12, 30, 0.4);
  std::vector<std::int64_t> own;
  for (index_t i = 0; i < 25; ++i) own.push_back(i % 60);
  for (const index_t k : {1, 32}) {
    require_exact(queue.space(), queries, k, own);
    for (const feaug::similarity_range range : {feaug::similarity_range{.floor = 0.3},
                                                {.ceiling = 0.5},
                                                {.floor = 0.2, .ceiling = 0.8},
                                                {.floor = 0, .ceiling = 0},
                                                {.ceiling = 0},
                                                {.floor = 0},
                                                {.floor = 2},
                                                {.ceiling = -2},
                                                {.floor = -1e300, .ceiling = 1e300}}) {
      auto space = queue.space();
      space.similarity = range;
      CAPTURE(range.floor, range.ceiling);
      require_exact(space, queries, k);
      require_exact(space, queries, k, own);
    }
  }
}

TEST_CASE("pruning of wide rows and of many queries", "[pruning]") {
  // Several chunks of rows (wide); several parts of the queries (small).
  const auto wide = test_matrix<float>::normal(700, 3001, 13);
  const cpu::search_space<float> space = {.rows = wide.view()};
  require_exact(space, test_matrix<float>::normal(3, 3001, 14), 4);
  const auto narrow = test_matrix<float>::normal(70, 4, 15);
  const cpu::search_space<float> small = {.rows = narrow.view()};
  require_exact(small, test_matrix<float>::normal(3000, 4, 16), 32);
  require_exact(small, test_matrix<float>(0, 4), 1);
}

TEST_CASE("the kernels' products, hits and maxima are exact", "[pruning]") {
  constexpr auto queries = static_cast<std::size_t>(cpu::pruning_queries);
  constexpr std::size_t block_rows = 32;
  std::mt19937 random(17);
  // Also extreme codes: the AVX2 kernel sums two products in 16 bits.
  const bool extreme = GENERATE(false, true);
  const index_t groups = GENERATE(1, 3, 16, 17, 64);
  const index_t blocks = GENERATE(1, 2);
  std::vector<std::uint8_t> rows(static_cast<std::size_t>(blocks * groups * 128));
  // Codes beyond the last group are 0.
  std::vector<std::int8_t> codes(static_cast<std::size_t>(cpu::pruning_codes(groups)), 0);
  for (auto& code : rows)
    code = static_cast<std::uint8_t>(extreme ? (random() % 2 == 0 ? 1 : 255) : 1 + random() % 255);
  std::array<std::int32_t, queries> offsets = {};
  for (std::size_t i = 0; i < queries; ++i) {
    for (index_t j = 0; j < groups * 4; ++j) {
      const int code =
          extreme ? (random() % 2 == 0 ? -127 : 127) : static_cast<int>(random() % 255) - 127;
      const index_t at = cpu::pruning_code(j / 4, static_cast<index_t>(i)) + j % 4;
      codes[static_cast<std::size_t>(at)] = static_cast<std::int8_t>(code);
      offsets[i] -= 128 * code;
    }
  }
  const auto product = [&](std::size_t block, std::size_t i, std::size_t r) {
    std::int32_t sum = 0;
    for (index_t j = 0; j < groups * 4; ++j) {
      const index_t at = cpu::pruning_code(j / 4, static_cast<index_t>(i)) + j % 4;
      const auto of_row = (static_cast<index_t>(block) * groups + j / 4) * 128 +
                          static_cast<index_t>(r) * 4 + j % 4;
      sum += codes[static_cast<std::size_t>(at)] * (rows[static_cast<std::size_t>(of_row)] - 128);
    }
    return sum;
  };
  std::array<float, block_rows> scales = {};
  for (float& scale : scales) scale = static_cast<float>(random() % 100) * 1e-3F;
  scales[7] = static_cast<float>(not_a_number);
  std::array<float, queries> bars = {0, 1, -1, 50, 1e30F, -1e30F};
  bars[6] = static_cast<float>(not_a_number);
  bars[7] = static_cast<float>(infinity);
  // Factors and bounds whose products and sums are exact.
  std::array<float, queries> length_factors = {};
  std::array<float, queries> error_factors = {};
  std::array<float, block_rows> lengths = {};
  std::array<float, block_rows> errors = {};
  for (float& factor : length_factors) factor = static_cast<float>(random() % 8);
  for (float& factor : error_factors) factor = static_cast<float>(random() % 8);
  for (float& length : lengths) length = static_cast<float>(random() % 8);
  for (float& error : errors) error = static_cast<float>(random() % 8);
  errors[9] = static_cast<float>(infinity);
  constexpr std::uint32_t filled = 0xFFFF7FFF;
  const cpu::pruning_operands tile = {.rows = rows.data(),
                                      .queries = codes.data(),
                                      .offsets = offsets.data(),
                                      .groups = groups,
                                      .blocks = blocks};
  testing::for_each_instruction_set([&](instruction_set instructions) {
    CAPTURE(groups, blocks, extreme);
    std::vector<std::int32_t> products(static_cast<std::size_t>(blocks * cpu::pruning_products));
    std::array<std::uint32_t, queries> hits = {};
    std::vector<float> maxima(static_cast<std::size_t>(cpu::pruning_products), -1e20F);
    const cpu::tile_pruner pruner(instructions);
    pruner.multiply(tile, products.data());
    for (std::size_t block = 0; block < static_cast<std::size_t>(blocks); ++block) {
      std::int32_t* const of_block = products.data() + block * queries * block_rows;
      const std::vector<float> before = maxima;
      pruner.raise(tile,
                   {.length_factors = length_factors.data(),
                    .error_factors = error_factors.data(),
                    .scales = scales.data(),
                    .lengths = lengths.data(),
                    .errors = errors.data()},
                   of_block, maxima.data());
      const std::uint32_t with_hits = pruner.find(tile,
                                                  {.bars = bars.data(),
                                                   .length_factors = length_factors.data(),
                                                   .error_factors = error_factors.data(),
                                                   .length = 3,
                                                   .error = 2,
                                                   .scales = scales.data(),
                                                   .filled = filled},
                                                  {.products = of_block, .hits = hits.data()});
      for (std::size_t i = 0; i < queries; ++i) {
        const float threshold = bars[i] - (length_factors[i] * 3 + error_factors[i] * 2);
        REQUIRE((with_hits >> i & 1U) == (hits[i] == 0 ? 0U : 1U));
        for (std::size_t r = 0; r < block_rows; ++r) {
          const std::int32_t sum = product(block, i, r);
          const float score = static_cast<float>(sum) * scales[r];
          if (hits[i] != 0) REQUIRE(of_block[i * block_rows + r] == sum);
          const bool hit = !(score < threshold) && (filled >> r & 1U) != 0;
          REQUIRE((hits[i] >> r & 1U) == (hit ? 1U : 0U));
          const float lower =
              score - (length_factors[i] * lengths[r] + error_factors[i] * errors[r]);
          const std::size_t at = i * block_rows + r;
          const float want = lower > before[at] ? lower : before[at];
          REQUIRE(maxima[at] == Approx(want).margin(1e-3));
        }
      }
    }
  });
}

TEMPLATE_TEST_CASE("dot products in single precision keep their bound", "[pruning]", float, double,
                   half, bfloat16) {
  for (const index_t cols : {1, 31, 32, 100, 4099}) {
    // Rows of which products cancel, and products of the same sign.
    for (const bool positive : {false, true}) {
      auto rows = test_matrix<TestType>::normal(8, cols, static_cast<unsigned>(cols));
      for (index_t i = 0; positive && i < 8; ++i) {
        for (index_t j = 0; j < cols; ++j) rows.set(i, j, std::fabs(rows.get(i, j)));
      }
      testing::for_each_instruction_set([&](instruction_set instructions) {
        for (index_t i = 1; i < 8; ++i) {
          double exact = 0;
          double norms[2] = {};
          for (index_t j = 0; j < cols; ++j) {
            exact += rows.get(0, j) * rows.get(i, j);
            norms[0] += rows.get(0, j) * rows.get(0, j);
            norms[1] += rows.get(i, j) * rows.get(i, j);
          }
          const double got = cpu::dot_in_float<TestType>(instructions, rows.view().row(0),
                                                         rows.view().row(i), cols);
          // Half of the bound is for numbers below the normal range.
          const double bound = cpu::dot_in_float_error(cols) / 2;
          CHECK(std::fabs(got - exact) <= bound * std::sqrt(norms[0] * norms[1]));
        }
      });
    }
  }
}

TEMPLATE_TEST_CASE("quantized rows are the same for every instruction set", "[pruning]", float,
                   double, half, bfloat16) {
  for (const index_t cols : {1, 16, 37, 300}) {
    auto rows = test_matrix<TestType>::normal(6, cols, static_cast<unsigned>(cols));
    rows.fill_row(1, 0);
    rows.set(2, cols / 2, not_a_number);
    rows.set(3, cols / 2, infinity);
    rows.set(4, cols / 2, 100);
    owned_shadow want(6, cols);
    want.bounds.assign(want.bounds.size(), 0);
    const auto write = [&](instruction_set instructions, owned_shadow& to) {
      for (index_t i = 0; i < 6; ++i)
        cpu::write_shadow_row<TestType>(instructions, to.view(), i, rows.view().row(i), cols, 0.5);
    };
    write(instruction_set::portable, want);
    testing::for_each_instruction_set([&](instruction_set instructions) {
      owned_shadow got(6, cols);
      got.bounds.assign(got.bounds.size(), 0);
      write(instructions, got);
      CAPTURE(cols);
      // The codes of a row that is not finite do not matter.
      for (std::size_t at = 0; at < got.codes.size(); ++at) {
        const std::size_t row = at / 4 % 32;
        if (row != 2 && row != 3) REQUIRE(got.codes[at] == want.codes[at]);
      }
      for (std::size_t at = 0; at < got.bounds.size(); ++at) {
        if (std::isinf(want.bounds[at])) {
          REQUIRE(std::isinf(got.bounds[at]));
        } else {
          REQUIRE(got.bounds[at] == Approx(want.bounds[at]).epsilon(1e-5));
        }
      }
    });
  }
}

TEMPLATE_TEST_CASE("rebuild_shadow gives the same shadow as enqueue", "[pruning]", float, double,
                   half, bfloat16) {
  const bool normalize = GENERATE(true, false);
  owned_queue<TestType> queue(70, 13, normalize);
  for (const index_t count : {1, 20, 0, 33, 40, 200, 7}) {
    auto rows = test_matrix<TestType>::normal(count, 13, static_cast<unsigned>(count) + 20);
    if (count > 5) {
      rows.fill_row(2, 0);
      rows.set(3, 1, infinity);
      rows.set(4, 2, not_a_number);
    }
    queue.push(rows);
    const owned_shadow kept = queue.shadow;
    owned_shadow anew(70, 13);
    queue.shadow = anew;
    feaug::cpu_context ctx{.threads = 2};
    feaug::rebuild_shadow(ctx, queue.view());
    REQUIRE(queue.shadow.same_bytes(kept));
    queue.shadow = kept;
  }
}

TEMPLATE_TEST_CASE("nearest gives the same with a shadow, without, and with a copied queue",
                   "[pruning]", float, half) {
  owned_queue<TestType> queue(1200, 40, true);
  queue.push(test_matrix<TestType>::normal(1500, 40, 30));
  const auto queries = test_matrix<TestType>::normal(130, 40, 31);
  owned_queue<TestType> restored = queue;
  for (const index_t k : {1, 5, 32, 33}) {
    const auto search = [&](const feaug::support_queue<TestType>& in, instruction_set allowed) {
      feaug::cpu_context ctx{.threads = 2, .instructions = allowed};
      std::vector<index_t> slots(static_cast<std::size_t>(130 * k));
      feaug::nearest(ctx, in, queries.view(), {.indices = {slots.data(), 130, k}}, {.k = k});
      return slots;
    };
    auto without = queue.view();
    without.shadow = {};
    const auto want = search(without, instruction_set::portable);
    testing::for_each_instruction_set([&](instruction_set allowed) {
      CHECK(search(queue.view(), allowed) == want);
      CHECK(search(without, allowed) == want);
      CHECK(search(restored.view(), allowed) == want);
    });
  }
}

TEST_CASE("misuse of a shadow", "[pruning]") {
  owned_queue<float> queue(40, 6, true);
  feaug::cpu_context ctx{.threads = 1};
  const test_matrix<float> batch(2, 6);
  const auto message = [&](const feaug::queue_shadow& shadow) {
    auto view = queue.view();
    view.ids = {};
    view.shadow = shadow;
    return message_of([&] { feaug::enqueue(ctx, view, batch.view()); });
  };
  CHECK(feaug::shadow_codes(40, 6) == 64 * 8);
  CHECK(feaug::shadow_bounds(40) == 64 * 3);
  auto shadow = queue.shadow.view();
  CHECK(message(shadow).empty());
  shadow.codes.extents[0] = 500;
  CHECK(message(shadow) ==
        "enqueue: queue.shadow.codes: got 500 elements, wanted 512 (shadow_codes(capacity, "
        "features))");
  shadow = queue.shadow.view();
  shadow.bounds = {};
  CHECK(message(shadow) ==
        "enqueue: queue.shadow.bounds: got 0 elements, wanted 192 (shadow_bounds(capacity))");
  shadow = queue.shadow.view();
  shadow.codes.strides[0] = 2;
  CHECK(message(shadow) == "enqueue: queue.shadow.codes: got stride 2, wanted 1, packed");
  shadow = queue.shadow.view();
  shadow.bounds.data = nullptr;
  CHECK(
      message(shadow) ==
      "enqueue: queue.shadow.bounds: got a null pointer with shape (192), wanted a pointer to its "
      "elements");
  auto view = queue.view();
  view.ids = {};
  CHECK(message_of([&] {
          feaug::enqueue(ctx, view, {queue.shadow.bounds.data() + 10, 2, 6});
        }) ==
        "enqueue: queue.shadow.bounds: got memory that overlaps batch, wanted memory of its own");
  view.shadow = {};
  CHECK(message_of([&] { feaug::rebuild_shadow(ctx, view); }) ==
        "rebuild_shadow: queue.shadow: got none, wanted one to rebuild");
  // On a GPU pruning uses half precision and no shadow.
  feaug::support_queue<float, feaug::memory_space::device> on_gpu;
  on_gpu.storage = {queue.storage.view().data, 40, 6};
  on_gpu.cursor = &queue.cursor;
  on_gpu.size = &queue.size;
  on_gpu.shadow = queue.shadow.view();
  CHECK(message_of([&] { feaug::check::valid("enqueue", on_gpu); }) ==
        "enqueue: queue.shadow: got one, wanted none for a queue in device memory");
}

}  // namespace pruning_test
