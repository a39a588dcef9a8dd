#include "feaug/cpu/queue/support_queue.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <cstddef>
#include <cstring>
#include <vector>

#include "feaug/cpu/queue/nearest.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace support_queue_test {

using feaug::bfloat16;
using feaug::half;
using feaug::index_t;
using testing::message_of;
using testing::test_matrix;

namespace {

/// All memory of a queue, with ids and labels.
template <class T>
struct owned_queue {
  test_matrix<T> storage;
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> labels;
  index_t cursor = 0;
  index_t size = 0;
  bool normalize = true;

  owned_queue(index_t capacity, index_t cols, bool normalized = true, index_t padding = 2)
      : storage(capacity, cols, padding),
        ids(static_cast<std::size_t>(capacity), -9),
        labels(static_cast<std::size_t>(capacity), -9),
        normalize(normalized) {}

  feaug::support_queue<T> without_payload() {
    return {.storage = storage.view(), .cursor = &cursor, .size = &size, .normalize = normalize};
  }
  feaug::support_queue<T> view() {
    auto queue = without_payload();
    queue.ids = {ids.data(), storage.rows()};
    queue.labels = {labels.data(), storage.rows()};
    return queue;
  }
};

/// Rows first … first + count − 1 of a stream. Row i has id 100 + i and label i mod 7.
template <class T>
struct stream_batch {
  test_matrix<T> rows;
  std::vector<std::int64_t> ids;
  std::vector<std::int64_t> labels;

  stream_batch(index_t count, index_t cols, index_t first)
      : rows(test_matrix<T>::normal(count, cols, static_cast<unsigned>(first) + 1, 3)) {
    for (index_t i = first; i < first + count; ++i) {
      ids.push_back(100 + i);
      labels.push_back(i % 7);
    }
  }
  [[nodiscard]] feaug::enqueue_payload payload() const {
    return {.ids = {ids.data(), rows.rows()}, .labels = {labels.data(), rows.rows()}};
  }
};

/// x_i / max(‖x_i‖, 1e-12) in double.
template <class T>
std::vector<double> unit(const test_matrix<T>& m, index_t i) {
  double square = 0;
  for (index_t j = 0; j < m.cols(); ++j) square += m.get(i, j) * m.get(i, j);
  std::vector<double> row;
  for (index_t j = 0; j < m.cols(); ++j)
    row.push_back(m.get(i, j) / std::max(std::sqrt(square), 1e-12));
  return row;
}

}  // namespace

TEMPLATE_TEST_CASE("enqueue writes rows in order and overwrites the oldest", "[queue]", float,
                   double, half, bfloat16) {
  struct shape {
    index_t capacity, cols;
  };
  const auto [capacity, cols] =
      GENERATE(shape{1, 1}, shape{1, 4}, shape{5, 1}, shape{7, 3}, shape{64, 40});
  const bool normalize = GENERATE(true, false);
  owned_queue<TestType> queue(capacity, cols, normalize);
  std::vector<std::vector<double>> model(static_cast<std::size_t>(capacity));
  std::vector<index_t> pushed_as(static_cast<std::size_t>(capacity), -1);
  feaug::cpu_context ctx{.threads = 2};
  index_t pushed = 0;
  // Batches smaller than, equal to and larger than the capacity, across the end, and empty.
  for (const index_t count : {index_t{1}, capacity / 2, capacity, index_t{0}, 3 * capacity + 2,
                              index_t{1}, index_t{300}}) {
    const stream_batch<TestType> batch(count, cols, pushed);
    feaug::enqueue(ctx, queue.view(), batch.rows.view(), batch.payload());
    for (index_t i = 0; i < count; ++i) {
      const auto slot = static_cast<std::size_t>((pushed + i) % capacity);
      model[slot] = unit(batch.rows, i);
      if (!normalize) {
        for (index_t j = 0; j < cols; ++j)
          model[slot][static_cast<std::size_t>(j)] = batch.rows.get(i, j);
      }
      pushed_as[slot] = pushed + i;
    }
    pushed += count;
    CAPTURE(capacity, cols, normalize, count);
    REQUIRE(queue.cursor == pushed % capacity);
    REQUIRE(queue.size == std::min(pushed, capacity));
    for (index_t slot = 0; slot < capacity; ++slot) {
      const auto at = static_cast<std::size_t>(slot);
      REQUIRE(queue.ids[at] == (slot < queue.size ? 100 + pushed_as[at] : -9));
      REQUIRE(queue.labels[at] == (slot < queue.size ? pushed_as[at] % 7 : -9));
      for (index_t j = 0; slot < queue.size && j < cols; ++j) {
        const double want = model[at][static_cast<std::size_t>(j)];
        const double off =
            normalize ? std::abs(want) * (std::is_same_v<TestType, double> ? 1e-15 : 6e-8) : 0;
        if constexpr (std::is_same_v<TestType, float> || std::is_same_v<TestType, double>) {
          REQUIRE(std::abs(queue.storage.get(slot, j) - want) <= off);
        } else {
          REQUIRE(queue.storage.get(slot, j) ==
                  Approx(want).epsilon(testing::tolerance<TestType>()).margin(1e-7));
        }
      }
    }
    REQUIRE(queue.storage.padding_intact());
  }
}

TEST_CASE("enqueueing a batch and its rows one by one gives the same bits", "[queue]") {
  const index_t count = GENERATE(3, 6, 7, 20);
  owned_queue<float> at_once(6, 5);
  owned_queue<float> one_by_one(6, 5);
  const stream_batch<float> batch(count, 5, 0);
  feaug::cpu_context ctx{.threads = 2};
  feaug::enqueue(ctx, at_once.view(), batch.rows.view(), batch.payload());
  for (index_t i = 0; i < count; ++i) {
    feaug::enqueue(ctx, one_by_one.view(), batch.rows.view().rows_from(i, 1),
                   {.ids = {batch.ids.data() + i, 1}, .labels = {batch.labels.data() + i, 1}});
  }
  CHECK(at_once.storage.values() == one_by_one.storage.values());
  CHECK(at_once.ids == one_by_one.ids);
  CHECK(at_once.labels == one_by_one.labels);
  CHECK(at_once.cursor == one_by_one.cursor);
  CHECK(at_once.size == one_by_one.size);
}

TEST_CASE("a large batch gives the same bits for any number of threads", "[queue]") {
  const stream_batch<float> batch(3000, 64, 0);
  std::vector<std::vector<double>> stored;
  for (const int threads : {1, 2, 3}) {
    owned_queue<float> queue(2000, 64);
    feaug::cpu_context ctx{.threads = threads};
    feaug::enqueue(ctx, queue.view(), batch.rows.view(), batch.payload());
    stored.push_back(queue.storage.values());
  }
  CHECK(stored[1] == stored[0]);
  CHECK(stored[2] == stored[0]);
}

TEMPLATE_TEST_CASE("zero, tiny and non-finite rows in a normalizing queue", "[queue]", float,
                   double, half, bfloat16) {
  owned_queue<TestType> queue(4, 3);
  test_matrix<TestType> batch(4, 3);
  batch.set(1, 1, 0x1p-24);  // tiny, but longer than eps
  batch.set(2, 0, std::numeric_limits<double>::quiet_NaN());
  batch.set(3, 2, std::numeric_limits<double>::infinity());
  feaug::cpu_context ctx{.threads = 1};
  feaug::enqueue(ctx, queue.without_payload(), batch.view());
  for (index_t j = 0; j < 3; ++j) {
    CHECK(queue.storage.get(0, j) == 0.0);
    CHECK(queue.storage.get(1, j) == (j == 1 ? 1.0 : 0.0));
    CHECK(std::isnan(queue.storage.get(2, j)));
    CHECK(std::isnan(queue.storage.get(3, j)));
  }
}

TEST_CASE("a queue restored from saved bytes continues bit for bit", "[queue]") {
  using saved_state = std::vector<std::byte>;
  const index_t capacity = 10;
  const index_t cols = 4;
  feaug::cpu_context ctx{.threads = 1};
  owned_queue<float> queue(capacity, cols, true, 0);
  const auto push = [&](owned_queue<float>& to, index_t count, index_t first) {
    const stream_batch<float> batch(count, cols, first);
    feaug::enqueue(ctx, to.view(), batch.rows.view(), batch.payload());
  };
  // Saved while partly filled, or full and wrapped.
  const index_t before = GENERATE(6, 23);
  push(queue, before, 0);

  saved_state bytes;
  const auto each_part = [&](owned_queue<float>& of, const auto& visit) {
    visit(of.storage.view().data, sizeof(float) * static_cast<std::size_t>(capacity * cols));
    visit(of.ids.data(), sizeof(std::int64_t) * of.ids.size());
    visit(of.labels.data(), sizeof(std::int64_t) * of.labels.size());
    visit(&of.cursor, sizeof of.cursor);
    visit(&of.size, sizeof of.size);
  };
  each_part(queue, [&](const auto* data, std::size_t size) {
    const auto* first = reinterpret_cast<const std::byte*>(data);
    bytes.insert(bytes.end(), first, first + size);
  });
  owned_queue<float> restored(capacity, cols, true, 0);
  const std::byte* next = bytes.data();
  each_part(restored, [&](auto* data, std::size_t size) {
    std::memcpy(data, next, size);
    next += size;
  });

  for (const index_t count : {3, 12, 2}) {
    push(queue, count, before + count);
    push(restored, count, before + count);
  }
  CHECK(restored.storage.values() == queue.storage.values());
  CHECK(restored.ids == queue.ids);
  CHECK(restored.labels == queue.labels);
  CHECK(restored.cursor == queue.cursor);
  CHECK(restored.size == queue.size);
  const auto queries = test_matrix<float>::normal(5, cols, 40);
  std::array<std::vector<index_t>, 2> found = {std::vector<index_t>(15), std::vector<index_t>(15)};
  feaug::nearest(ctx, queue.view(), queries.view(), {.indices = {found[0].data(), 5, 3}}, {.k = 3});
  feaug::nearest(ctx, restored.view(), queries.view(), {.indices = {found[1].data(), 5, 3}},
                 {.k = 3});
  CHECK(found[1] == found[0]);
}

TEMPLATE_TEST_CASE("gather reads the stored rows", "[queue]", float, double, half, bfloat16) {
  owned_queue<TestType> queue(8, 5);
  const stream_batch<TestType> batch(6, 5, 0);
  feaug::cpu_context ctx{.threads = 2};
  feaug::enqueue(ctx, queue.view(), batch.rows.view(), batch.payload());
  const std::vector<index_t> indices = {5, -1, 0, 3, 3};
  test_matrix<TestType> values(5, 5, 2);
  std::vector<std::int64_t> ids(5, -7);
  std::vector<std::int64_t> labels(5, -7);
  feaug::gather(ctx, queue.view(), {indices.data(), 5},
                {.values = values.view(), .ids = {ids.data(), 5}, .labels = {labels.data(), 5}});
  for (index_t i = 0; i < 5; ++i) {
    const index_t slot = indices[static_cast<std::size_t>(i)];
    for (index_t j = 0; j < 5; ++j) {
      if (slot < 0) {
        CHECK(std::isnan(values.get(i, j)));
      } else {
        CHECK(values.get(i, j) == queue.storage.get(slot, j));
      }
    }
  }
  CHECK(ids == std::vector<std::int64_t>{105, -1, 100, 103, 103});
  CHECK(labels == std::vector<std::int64_t>{5, -1, 0, 3, 3});
  CHECK(values.padding_intact());

  // A single output; a missing index in an empty queue.
  std::vector<std::int64_t> alone(5, -7);
  feaug::gather(ctx, queue.view(), {indices.data(), 5}, {.labels = {alone.data(), 5}});
  CHECK(alone == labels);
  queue.cursor = queue.size = 0;
  const index_t none = -1;
  feaug::gather(ctx, queue.view(), {&none, 1}, {.ids = {alone.data(), 1}});
  CHECK(alone[0] == -1);
}

TEST_CASE("error messages of enqueue, which then writes nothing", "[queue]") {
  feaug::cpu_context ctx{.threads = 1};
  owned_queue<float> queue(4, 3);
  auto batch = test_matrix<float>::normal(2, 3, 50);
  const std::vector<std::int64_t> numbers = {1, 2, 3};
  const feaug::enqueue_payload both = {.ids = {numbers.data(), 2}, .labels = {numbers.data(), 2}};
  const auto message = [&](const feaug::support_queue<float>& into,
                           feaug::matrix_view<const float> rows,
                           const feaug::enqueue_payload& payload = {}) {
    return message_of([&] { feaug::enqueue(ctx, into, rows, payload); });
  };
  const auto with = [&](const auto& change) {
    auto changed = queue.without_payload();
    change(changed);
    return message(changed, batch.view());
  };

  SECTION("the queue") {
    index_t counter = 0;
    CHECK(with([](auto& q) { q.cursor = nullptr; }) ==
          "enqueue: queue.cursor: got a null pointer, wanted a counter in the host's memory");
    CHECK(with([](auto& q) { q.size = nullptr; }) ==
          "enqueue: queue.size: got a null pointer, wanted a counter in the host's memory");
    CHECK(with([](auto& q) { q.size = q.cursor; }) ==
          "enqueue: queue.size: got the same counter as queue.cursor, wanted one of its own");
    counter = 4;
    CHECK(with([&](auto& q) { q.cursor = &counter; }) ==
          "enqueue: queue.cursor: got 4, wanted a number from 0 to 3");
    counter = -1;
    CHECK(with([&](auto& q) { q.cursor = &counter; }) ==
          "enqueue: queue.cursor: got -1, wanted a number from 0 to 3");
    counter = 5;
    CHECK(with([&](auto& q) { q.size = &counter; }) ==
          "enqueue: queue.size: got 5, wanted a number from 0 to 4");
    counter = 2;
    CHECK(with([&](auto& q) { q.size = &counter; }) ==
          "enqueue: queue.cursor: got 0 with 2 filled slots, wanted 2, the first free slot");
    CHECK(with([](auto& q) {
            q.storage = {q.storage.data, 0, 3};
          }) == "enqueue: queue.storage: got shape (0, 3), wanted at least one row and one column");
    CHECK(with([](auto& q) { q.storage.data = nullptr; }) ==
          "enqueue: queue.storage: got a null pointer with shape (4, 3), wanted a pointer to its "
          "elements");
    CHECK(with([](auto& q) { q.storage.strides[0] = 2; }) ==
          "enqueue: queue.storage: got row stride 2, wanted 0 or at least 3 (its columns)");
    CHECK(with([](auto& q) { q.storage.strides[0] = 0; }) ==
          "enqueue: queue.storage: got row stride 0, wanted at least 3 (its columns), since it is "
          "written");
    CHECK(with([&](auto& q) {
            q.ids = {queue.ids.data(), 3};
          }) == "enqueue: queue.ids: got 3 elements, wanted 4 (the queue's capacity)");
    CHECK(with([&](auto& q) {
            q.labels = {queue.labels.data(), 5};
          }) == "enqueue: queue.labels: got 5 elements, wanted 4 (the queue's capacity)");
  }
  SECTION("the batch") {
    const test_matrix<float> wide(2, 4);
    CHECK(message(queue.without_payload(), wide.view()) ==
          "enqueue: batch: got 4 columns, wanted 3 as queue.storage");
    CHECK(message(queue.without_payload(), {nullptr, 2, 3}) ==
          "enqueue: batch: got a null pointer with shape (2, 3), wanted a pointer to its elements");
    CHECK(message(queue.without_payload(), queue.storage.view().rows_from(1, 2)) ==
          "enqueue: queue.storage: got memory that overlaps batch, wanted memory of its own");
  }
  SECTION("the payload") {
    CHECK(message(queue.view(), batch.view()) ==
          "enqueue: ids: got none, wanted 2, since the queue keeps them");
    CHECK(message(queue.view(), batch.view(), {.ids = {numbers.data(), 2}}) ==
          "enqueue: labels: got none, wanted 2, since the queue keeps them");
    CHECK(message(queue.view(), batch.view(),
                  {.ids = {numbers.data(), 3}, .labels = {numbers.data(), 2}}) ==
          "enqueue: ids: got 3 elements, wanted 2 (one a row)");
    CHECK(message(queue.without_payload(), batch.view(), both) ==
          "enqueue: ids: got 2 elements, wanted none, since the queue keeps none");
    CHECK(message(queue.view(), batch.view(),
                  {.ids = {queue.ids.data() + 1, 2}, .labels = {numbers.data(), 2}}) ==
          "enqueue: queue.ids: got memory that overlaps ids, wanted memory of its own");
  }
  CHECK(queue.cursor == 0);
  CHECK(queue.size == 0);
  CHECK(queue.storage.values() == std::vector<double>(12, 0.0));
  CHECK(queue.ids == std::vector<std::int64_t>(4, -9));
  CHECK(message(queue.view(), batch.view(), both).empty());
}

TEST_CASE("error messages of gather", "[queue]") {
  feaug::cpu_context ctx{.threads = 1};
  owned_queue<float> queue(4, 3);
  const stream_batch<float> batch(2, 3, 0);
  feaug::enqueue(ctx, queue.view(), batch.rows.view(), batch.payload());
  std::vector<index_t> indices = {0, 1, -1};
  test_matrix<float> values(3, 3);
  std::vector<std::int64_t> numbers(4);
  const auto message = [&](const feaug::gather_outputs<float>& outputs) {
    return message_of([&] { feaug::gather(ctx, queue.view(), {indices.data(), 3}, outputs); });
  };
  CHECK(message({.values = values.view()}).empty());
  CHECK(message({.values = values.view().rows_from(0, 2)}) ==
        "gather: values: got shape (2, 3), wanted shape (3, 3) as indices and queue.storage");
  CHECK(message({.values = queue.storage.view().rows_from(1, 3)}) ==
        "gather: values: got memory that overlaps queue.storage, wanted memory of its own");
  CHECK(message({.ids = {numbers.data(), 2}}) ==
        "gather: ids: got 2 elements, wanted 3 (one a row)");
  CHECK(message({.labels = {queue.labels.data() + 1, 3}}) ==
        "gather: labels: got memory that overlaps queue.labels, wanted memory of its own");
  CHECK(message({.ids = {indices.data(), 3}}) ==
        "gather: ids: got memory that overlaps indices, wanted memory of its own");
  CHECK(message_of([&] {
          feaug::gather(ctx, queue.without_payload(), {indices.data(), 3},
                        {.labels = {numbers.data(), 3}});
        }) == "gather: labels: got 3 elements, wanted none, since the queue keeps none");
  indices[2] = 2;  // a slot that is not filled
  CHECK(message({.values = values.view()}) ==
        "gather: indices: got 2, wanted a number from -1 to 1");
  indices[2] = -2;
  CHECK(message({.values = values.view()}) ==
        "gather: indices: got -2, wanted a number from -1 to 1");
}

}  // namespace support_queue_test
