// Queues with a shadow, and searches with pruning that must find what scoring every row finds.
#pragma once

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>
#include <vector>

#include "feaug/cpu/queue/pruned_scan.hpp"
#include "feaug/cpu/queue/support_queue.hpp"
#include "support/instruction_sets.hpp"
#include "support/test_matrix.hpp"

namespace testing {

using feaug::index_t;
using feaug::instruction_set;
namespace cpu = feaug::cpu;

inline constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();
inline constexpr double infinity = std::numeric_limits<double>::infinity();

/// Memory of a queue's shadow. It starts with arbitrary values, because no initial value is needed.
struct owned_shadow {
  std::vector<std::uint8_t> codes;
  std::vector<float> bounds;

  owned_shadow() = default;
  owned_shadow(index_t capacity, index_t cols)
      : codes(static_cast<std::size_t>(feaug::shadow_codes(capacity, cols)), 0xEE),
        bounds(static_cast<std::size_t>(feaug::shadow_bounds(capacity)),
               static_cast<float>(not_a_number)) {}
  feaug::queue_shadow view() {
    return {.codes = {codes.data(), static_cast<index_t>(codes.size())},
            .bounds = {bounds.data(), static_cast<index_t>(bounds.size())}};
  }
  [[nodiscard]] bool same_bytes(const owned_shadow& other) const {
    return codes == other.codes &&
           std::memcmp(bounds.data(), other.bounds.data(), bounds.size() * sizeof(float)) == 0;
  }
};

template <class T>
struct owned_queue {
  test_matrix<T> storage;
  owned_shadow shadow;
  std::vector<std::int64_t> ids;
  index_t cursor = 0;
  index_t size = 0;
  bool normalize = true;

  owned_queue(index_t capacity, index_t cols, bool normalized)
      : storage(capacity, cols, 3),
        shadow(capacity, cols),
        ids(static_cast<std::size_t>(capacity)),
        normalize(normalized) {
    storage.fill(not_a_number);
  }
  feaug::support_queue<T> view() {
    return {.storage = storage.view(),
            .cursor = &cursor,
            .size = &size,
            .normalize = normalize,
            .ids = {ids.data(), storage.rows()},
            .shadow = shadow.view()};
  }
  void push(const test_matrix<T>& rows) {
    std::vector<std::int64_t> own(static_cast<std::size_t>(rows.rows()));
    for (std::size_t i = 0; i < own.size(); ++i) own[i] = static_cast<std::int64_t>(i % 50);
    feaug::cpu_context ctx{.threads = 2};
    feaug::enqueue(ctx, view(), rows.view(), {.ids = {own.data(), rows.rows()}});
  }
  cpu::search_space<T> space() {
    return {.rows = storage.view().rows_from(0, size),
            .unit = normalize,
            .ids = {ids.data(), size},
            .shadow = shadow.view()};
  }
};

struct found_rows {
  std::vector<index_t> slots;
  std::vector<double> scores;
  std::vector<double> norms;

  found_rows(index_t queries, index_t k)
      : slots(static_cast<std::size_t>(queries * k), -1),
        scores(static_cast<std::size_t>(queries * k)),
        norms(static_cast<std::size_t>(queries)) {}
  auto writer(index_t k) {
    return [this, k](index_t query, std::span<const feaug::candidate> best, double norm) {
      norms[static_cast<std::size_t>(query)] = norm;
      for (std::size_t rank = 0; rank < best.size(); ++rank) {
        const auto at = static_cast<std::size_t>(query * k) + rank;
        slots[at] = best[rank].slot;
        scores[at] = best[rank].score;
      }
    };
  }
  void require_same(const found_rows& other) const {
    REQUIRE(slots == other.slots);
    const auto same = [](const std::vector<double>& a, const std::vector<double>& b) {
      return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](double x, double y) {
        return x == y || (std::isnan(x) && std::isnan(y));
      });
    };
    REQUIRE(same(scores, other.scores));
    REQUIRE(same(norms, other.norms));
  }
};

/// Requires that pruned_scan gives bit-identical results to exact_scan for every instruction set,
/// with and without the shadow, with one thread and two. Returns its counts, which must be the same
/// for any number of threads: instruction sets differ in sums in single precision, and without the
/// shadow norms are known. The counts are of the best instruction set.
template <class T>
cpu::pruning_counts require_exact(const cpu::search_space<T>& space, const test_matrix<T>& queries,
                                  index_t k, const std::vector<std::int64_t>& exclude = {},
                                  double fewest_projected = cpu::fewest_projected_products) {
  const feaug::vector_view<const std::int64_t> own = {exclude.data(),
                                                      static_cast<index_t>(exclude.size())};
  feaug::cpu_context plain{.threads = 1};
  found_rows want(queries.rows(), k);
  cpu::exact_scan(plain, space, queries.view(), k, own, want.writer(k));
  cpu::pruning_counts first = {};
  for_each_instruction_set([&](instruction_set instructions) {
    for (const bool with_shadow : {true, false}) {
      bool is_first = true;
      for (const int threads : {1, 2}) {
        CAPTURE(with_shadow, threads, k);
        feaug::cpu_context ctx{.threads = threads, .instructions = instructions};
        found_rows got(queries.rows(), k);
        cpu::search_space<T> from = space;
        if (!with_shadow) from.shadow = {};
        cpu::pruning_counts counts;
        cpu::pruned_scan<T>(ctx, from, queries.view(), k, own, got.writer(k), &counts,
                            fewest_projected);
        got.require_same(want);
        CHECK(ctx.workspace.peak() <= (7 << 20) + static_cast<std::size_t>(threads) * (160 << 10) +
                                          static_cast<std::size_t>(space.rows.rows()) * 8);
        if (is_first) first = counts;
        is_first = false;
        // All runs do the same work.
        REQUIRE(counts.met == first.met);
        REQUIRE(counts.scored == first.scored);
        REQUIRE(counts.given_up == first.given_up);
      }
    }
  });
  return first;
}

template <class T>
test_matrix<T> clustered(index_t rows, index_t cols, unsigned seed, index_t clusters,
                         double spread) {
  const auto centres = test_matrix<T>::normal(clusters, cols, 99);
  auto m = test_matrix<T>::normal(rows, cols, seed, 1);
  for (index_t i = 0; i < rows; ++i) {
    for (index_t j = 0; j < cols; ++j)
      m.set(i, j, centres.get(i * 7 % clusters, j) + spread * m.get(i, j));
  }
  return m;
}

}  // namespace testing
