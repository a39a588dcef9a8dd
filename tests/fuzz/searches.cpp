#include "fuzz/searches.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "feaug/core/error.hpp"
#include "feaug/cpu/queue/nearest.hpp"
#include "feaug/cpu/queue/support_queue.hpp"
#include "fuzz/outcome.hpp"
#include "queue/nearest_reference.hpp"
#include "support/test_matrix.hpp"

namespace fuzz {
namespace {

using feaug::index_t;

using testing::test_matrix;

template <class T>
std::vector<double> row_of(const test_matrix<T>& m, index_t i) {
  std::vector<double> row;
  for (index_t j = 0; j < m.cols(); ++j) row.push_back(m.get(i, j));
  return row;
}

/// Rows of few different values have many ties.
template <class T>
test_matrix<T> chosen_rows(index_t rows, index_t cols, choices& choose) {
  test_matrix<T> made(rows, cols, choose.between(0, 3));
  const std::vector<double> numbers = choose.normal(static_cast<std::size_t>(rows * cols));
  const auto kind = choose.between(0, 3);
  for (index_t i = 0; i < rows; ++i) {
    for (index_t j = 0; j < cols; ++j) {
      const double x = numbers[static_cast<std::size_t>(i * cols + j)];
      made.set(i, j, kind == 1 ? std::round(x) : kind == 2 ? 1 + 1e-4 * x : x);
    }
  }
  if (rows > 0 && choose.one_in(4)) {
    const index_t row = choose.between(0, rows - 1);
    const double value = choose.extreme();
    const bool is_whole = choose.one_in(2);
    for (index_t j = 0; j < (is_whole ? cols : 1); ++j) made.set(row, j, value);
  }
  return made;
}

template <class T>
class searched_queue {
 public:
  searched_queue(index_t capacity, index_t cols, choices& choose)
      : storage_(capacity, cols, choose.between(0, 3)),
        ids_(static_cast<std::size_t>(capacity)),
        codes_(static_cast<std::size_t>(feaug::shadow_codes(capacity, cols)), 0xEE),
        bounds_(static_cast<std::size_t>(feaug::shadow_bounds(capacity)), NAN),
        normalize_(!choose.one_in(4)) {}

  feaug::support_queue<T> view(bool with_shadow) {
    feaug::support_queue<T> made = {.storage = storage_.view(),
                                    .cursor = &cursor_,
                                    .size = &size_,
                                    .normalize = normalize_,
                                    .ids = {ids_.data(), storage_.rows()}};
    if (with_shadow) {
      made.shadow = {.codes = {codes_.data(), static_cast<index_t>(codes_.size())},
                     .bounds = {bounds_.data(), static_cast<index_t>(bounds_.size())}};
    }
    return made;
  }

  /// Enqueues a batch, and checks slots, counters and rows.
  void push(feaug::cpu_context& ctx, test_matrix<T>& batch) {
    std::vector<std::int64_t> ids(static_cast<std::size_t>(batch.rows()));
    for (std::int64_t& id : ids) id = pushed_++ % 7;
    const index_t before = cursor_;
    feaug::enqueue(ctx, view(true), batch.view(), {.ids = {ids.data(), batch.rows()}});
    const index_t capacity = storage_.rows();
    require(cursor_ == (before + batch.rows()) % capacity, "enqueue: another cursor");
    require(size_ == std::min(capacity, pushed_), "enqueue: another size");
    require(storage_.padding_intact(), "enqueue: padding is overwritten");
    for (index_t i = std::max(index_t{0}, batch.rows() - capacity); i < batch.rows(); ++i) {
      const index_t slot = (before + i) % capacity;
      require(ids_[static_cast<std::size_t>(slot)] == ids[static_cast<std::size_t>(i)],
              "enqueue: another id");
      std::vector<double> want = row_of(batch, i);
      if (normalize_ && testing::all_finite(want)) {
        double norm = 0;
        for (const double x : want) norm = std::hypot(norm, x);
        for (double& x : want) x /= std::max(norm, 1e-12);
      }
      if (normalize_ && !testing::all_finite(row_of(batch, i))) continue;
      require(relative_error(row_of(storage_, slot), want, 1e-30) <= tolerance<T>(),
              "enqueue: another row");
    }
  }

  [[nodiscard]] index_t size() const { return size_; }
  [[nodiscard]] testing::rows_in_double rows() const {
    testing::rows_in_double all{.rows = {}, .unit = normalize_};
    for (index_t i = 0; i < size_; ++i) all.rows.push_back(row_of(storage_, i));
    all.ids.assign(ids_.begin(), ids_.begin() + size_);
    return all;
  }

 private:
  test_matrix<T> storage_;
  std::vector<std::int64_t> ids_;
  std::vector<std::uint8_t> codes_;
  std::vector<float> bounds_;
  bool normalize_;
  index_t cursor_ = 0;
  index_t size_ = 0;
  std::int64_t pushed_ = 0;
};

/// The first k of all neighbours that are in the range.
testing::reference_neighbours neighbours_in_range(const testing::rows_in_double& support,
                                                  const std::vector<double>& query, index_t k,
                                                  const std::int64_t* exclude,
                                                  const feaug::similarity_range& range) {
  const auto all = testing::nearest_reference(support, query,
                                              static_cast<index_t>(support.rows.size()), exclude);
  const auto is_in_range = [&](double cosine) {
    // A ceiling alone keeps a row whose cosine is NaN.
    if (std::isnan(cosine)) return !range.has_floor();
    return cosine >= range.floor && cosine <= range.ceiling;
  };
  testing::reference_neighbours kept;
  for (std::size_t i = 0; i < all.indices.size(); ++i) {
    const double cosine = all.similarities[i];
    if (!is_in_range(cosine)) continue;
    kept.indices.push_back(all.indices[i]);
    kept.similarities.push_back(cosine);
  }
  kept.indices.resize(static_cast<std::size_t>(k), -1);
  kept.similarities.resize(static_cast<std::size_t>(k), NAN);
  return kept;
}

/// A search or an enqueue with one bad argument.
template <class T>
void require_refusal(feaug::cpu_context& ctx, const feaug::support_queue<T>& queue,
                     test_matrix<T>& queries, choices& choose) {
  index_t k = 1;
  feaug::matrix_view<T> view = queries.view();
  const auto kind = choose.between(0, 4);
  if (kind == 0) k = choose.one_of({index_t{0}, index_t{-3}, *queue.size + 1});
  if (kind == 1 || kind == 3) view.extents[1] += choose.one_of({1, -1});
  if (kind == 2 || kind == 4) view.data = nullptr;
  const bool is_search = kind < 3;
  const index_t outputs = std::max(k, index_t{1});
  std::vector<index_t> slots(static_cast<std::size_t>(queries.rows() * outputs), -7);
  const std::vector<index_t> unwritten = slots;
  const index_t before[] = {*queue.cursor, *queue.size};
  const double first = static_cast<double>(feaug::load(*queue.storage.data));
  bool is_refused = false;
  try {
    if (is_search) {
      feaug::nearest(ctx, queue, view, {.indices = {slots.data(), queries.rows(), outputs}},
                     {.k = k});
    } else {
      feaug::enqueue(ctx, queue, view, {.ids = {slots.data(), queries.rows()}});
    }
  } catch (const feaug::argument_error&) {
    is_refused = true;
  }
  call() += is_search ? ", a bad search" : ", a bad enqueue";
  require(is_refused, "accepts a bad argument");
  const double first_now = static_cast<double>(feaug::load(*queue.storage.data));
  require(slots == unwritten && *queue.cursor == before[0] && *queue.size == before[1] &&
              (first_now == first || std::isnan(first)),
          "writes, and then refuses");
}

template <class T>
void search(choices& choose) {
  const index_t most_cols = choose.one_in(4) ? 140 : 20;
  const index_t cols = choose.between(1, most_cols);
  const index_t most_rows = choose.one_in(4) ? 500 : 40;
  const index_t capacity = choose.between(1, most_rows);
  feaug::cpu_context ctx{.threads = static_cast<int>(choose.between(1, 3)),
                         .instructions = chosen_instructions(choose)};
  call() = "a queue of " + type_name<T>() + ", " + std::to_string(capacity) + " rows of " +
           std::to_string(cols) + ", instruction set " +
           std::to_string(static_cast<int>(ctx.instructions));
  searched_queue<T> queue(capacity, cols, choose);
  for (std::int64_t left = choose.between(1, 3); left > 0; --left) {
    const index_t rows = choose.between(left == 1 ? 1 : 0, capacity + capacity / 2);
    auto batch = chosen_rows<T>(rows, cols, choose);
    queue.push(ctx, batch);
  }
  const index_t most_queries = choose.one_in(8) ? 70 : 9;
  const index_t query_rows = choose.between(1, most_queries);
  auto queries = chosen_rows<T>(query_rows, cols, choose);
  if (choose.one_in(6)) return require_refusal(ctx, queue.view(false), queries, choose);

  const index_t most_neighbours = choose.one_in(4) ? 70 : 8;
  const index_t k = choose.between(1, std::min(queue.size(), most_neighbours));
  std::vector<std::int64_t> own(static_cast<std::size_t>(queries.rows()));
  for (std::size_t i = 0; i < own.size(); ++i) own[i] = static_cast<std::int64_t>(i % 9);
  feaug::nearest_options options{.k = k};
  if (choose.one_in(3)) options.exclude_ids = {own.data(), queries.rows()};
  if (choose.one_in(4)) options.similarity.floor = choose.one_of({0.0, 0.3, 0.9, -0.5});
  if (choose.one_in(4)) options.similarity.ceiling = choose.one_of({0.99, 0.95, 1.0});
  const bool has_shadow = choose.one_in(2);
  call() += ", " + std::to_string(k) + " neighbours with cosines " +
            std::to_string(options.similarity.floor) + " to " +
            std::to_string(options.similarity.ceiling) +
            (options.exclude_ids.empty() ? "" : ", own rows excluded") +
            (has_shadow ? ", with a shadow" : "");

  std::vector<index_t> slots(own.size() * static_cast<std::size_t>(k), -7);
  test_matrix<T> similarities(queries.rows(), k, 0);
  feaug::nearest(
      ctx, queue.view(has_shadow), queries.view(),
      {.indices = {slots.data(), queries.rows(), k}, .similarities = similarities.view()}, options);
  const testing::rows_in_double support = queue.rows();
  for (index_t i = 0; i < queries.rows(); ++i) {
    const std::int64_t* exclude =
        options.exclude_ids.empty() ? nullptr : &own[static_cast<std::size_t>(i)];
    const auto want =
        neighbours_in_range(support, row_of(queries, i), k, exclude, options.similarity);
    for (index_t rank = 0; rank < k; ++rank) {
      const index_t got = slots[static_cast<std::size_t>(i * k + rank)];
      const index_t wanted = want.indices[static_cast<std::size_t>(rank)];
      require(got == wanted, "slot " + std::to_string(got) + ", wanted " + std::to_string(wanted) +
                                 ", for query " + std::to_string(i) + " and rank " +
                                 std::to_string(rank));
    }
    require(relative_error(row_of(similarities, i), want.similarities, 1) <= tolerance<T>(),
            "other similarities for query " + std::to_string(i));
  }
}

}  // namespace

void try_search(choices& choose) {
  with_any_type(choose, [&]<class T>() { search<T>(choose); });
}

}  // namespace fuzz
