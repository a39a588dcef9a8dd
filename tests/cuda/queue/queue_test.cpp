// Queue and search on a GPU: the same slots, bits and neighbours as the CPU, for any rows.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cpu/augment/neighbour.hpp"
#include "feaug/cpu/queue/nearest.hpp"
#include "feaug/cpu/queue/support_queue.hpp"
#include "feaug/cuda/augment/neighbour.cuh"
#include "feaug/cuda/queue/nearest.cuh"
#include "feaug/cuda/queue/support_queue.cuh"
#include "support/message_of.hpp"

namespace queue_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::index_t;
using testing::test_matrix;

namespace {

using ids_type = std::vector<std::int64_t>;

/// Requires equal numbers; NaN equals NaN.
void require_same(const std::vector<double>& got, const std::vector<double>& want) {
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (got[i] == want[i] || (std::isnan(got[i]) && std::isnan(want[i]))) continue;
    CAPTURE(i, got[i], want[i]);
    FAIL("not the same");
  }
}

/// The same queue on the host and in device memory.
template <class T>
class two_queues {
 public:
  two_queues(index_t capacity, index_t cols, bool normalize)
      : host_storage_(capacity, cols, 1),
        ids_(static_cast<std::size_t>(capacity), -7),
        device_storage_(host_storage_),
        device_ids_(ids_),
        normalize_(normalize) {}

  [[nodiscard]] feaug::support_queue<T> host() {
    return {.storage = host_storage_.view(),
            .cursor = &cursor_,
            .size = &size_,
            .normalize = normalize_,
            .ids = {ids_.data(), static_cast<index_t>(ids_.size())}};
  }
  [[nodiscard]] feaug::device_support_queue<T> device() {
    return {.storage = device_storage_.view(),
            .cursor = device_cursor_.data(),
            .size = device_size_.data(),
            .normalize = normalize_,
            .ids = {device_ids_.data(), static_cast<index_t>(ids_.size())}};
  }

  void push(const test_matrix<T>& batch, const ids_type& ids) {
    feaug::cpu_context cpu{.threads = 1};
    feaug::cuda_context gpu;
    const device_copy<T> device_batch(batch);
    const device_array<std::int64_t> device_ids(ids);
    const auto count = static_cast<index_t>(ids.size());
    feaug::enqueue(cpu, host(), batch.view(), {.ids = {ids.data(), count}});
    feaug::enqueue(gpu, device(), device_batch.const_view(), {.ids = {device_ids.data(), count}});
    require_same(device_storage_.host().values(), host_storage_.values());
    REQUIRE(device_storage_.host().padding_intact());
    REQUIRE(device_ids_.to_host() == ids_);
    REQUIRE(device_cursor_.to_host()[0] == cursor_);
    REQUIRE(device_size_.to_host()[0] == size_);
  }

 private:
  test_matrix<T> host_storage_;
  ids_type ids_;
  index_t cursor_ = 0;
  index_t size_ = 0;
  device_copy<T> device_storage_;
  device_array<std::int64_t> device_ids_;
  device_array<index_t> device_cursor_{{0}};
  device_array<index_t> device_size_{{0}};
  bool normalize_;
};

ids_type numbers(index_t first, index_t count) {
  ids_type all;
  for (index_t i = 0; i < count; ++i) all.push_back(first + i);
  return all;
}

/// Small integers, so that many scores are equal; also a zero row, a row with NaN, a row with ∞.
template <class T>
test_matrix<T> awkward_rows(index_t rows, index_t cols, unsigned seed) {
  auto x = test_matrix<T>::normal(rows, cols, seed, 2);
  for (index_t i = 0; i < rows; ++i) {
    for (index_t j = 0; j < cols; ++j) x.set(i, j, std::nearbyint(x.get(i, j)));
  }
  if (rows > 6) {
    x.fill_row(1, 0);
    x.set(3, cols - 1, std::numeric_limits<double>::quiet_NaN());
    x.set(5, 0, std::numeric_limits<double>::infinity());
  }
  return x;
}

/// Searches on the CPU, and on the GPU by scoring every row and with pruning. All results must be
/// equal.
template <class T, class HostSupport, class DeviceSupport>
void compare_search(const HostSupport& host_support, const DeviceSupport& device_support,
                    const test_matrix<T>& queries, index_t k, const ids_type& exclude = {}) {
  const index_t rows = queries.rows();
  CAPTURE(rows, queries.cols(), k);
  feaug::cpu_context cpu{.threads = 1};
  std::vector<index_t> indices(static_cast<std::size_t>(rows * k), -5);
  test_matrix<T> similarities(rows, k, 1);
  test_matrix<T> values(rows * k, queries.cols(), 2);
  const auto excluded = static_cast<index_t>(exclude.size());
  feaug::nearest(cpu, host_support, queries.view(),
                 {.indices = {indices.data(), rows, k},
                  .similarities = similarities.view(),
                  .values = values.view()},
                 {.k = k, .exclude_ids = {exclude.data(), excluded}});
  const device_copy<T> device_queries(queries);
  const device_array<std::int64_t> device_exclude(exclude);
  for (const bool tensor_cores : {false, true}) {
    CAPTURE(tensor_cores);
    feaug::cuda_context gpu{.tensor_cores = tensor_cores};
    const device_array<index_t> device_indices(std::vector<index_t>(indices.size(), -5));
    const device_copy<T> device_similarities(test_matrix<T>(rows, k, 1));
    const device_copy<T> device_values(test_matrix<T>(rows * k, queries.cols(), 2));
    feaug::nearest(gpu, device_support, device_queries.const_view(),
                   {.indices = {device_indices.data(), rows, k},
                    .similarities = device_similarities.view(),
                    .values = device_values.view()},
                   {.k = k, .exclude_ids = {device_exclude.data(), excluded}});
    const bool same_slots = device_indices.to_host() == indices;
    REQUIRE(same_slots);
    require_same(device_similarities.host().values(), similarities.values());
    require_same(device_values.host().values(), values.values());
    REQUIRE(device_values.host().padding_intact());
  }
}

}  // namespace

TEMPLATE_TEST_CASE("batches of any size are stored in the same slots as on the CPU",
                   "[cuda][queue]", double, float, feaug::half, feaug::bfloat16) {
  for (const bool normalize : {true, false}) {
    two_queues<TestType> queue(7, 5, normalize);
    index_t first = 0;
    for (const index_t rows : {3, 0, 3, 1, 7, 20, 5}) {
      queue.push(awkward_rows<TestType>(rows, 5, static_cast<unsigned>(rows)),
                 numbers(first, rows));
      first += rows;
    }
  }
}

TEMPLATE_TEST_CASE("neighbours have the CPU's bits", "[cuda][nearest]", double, float, feaug::half,
                   feaug::bfloat16) {
  using T = TestType;
  struct shape {
    index_t queries, rows, cols;
  };
  for (const shape& s : {shape{1, 1, 1}, shape{9, 7, 3}, shape{67, 130, 17}, shape{3, 65, 40}}) {
    CAPTURE(s.queries, s.rows, s.cols);
    const auto queries = awkward_rows<T>(s.queries, s.cols, 1);
    const auto support = awkward_rows<T>(s.rows, s.cols, 2);
    const device_copy<T> device_support(support);
    // For few queries, k up to all rows: every neighbour takes one pass of the whole block.
    const index_t most = s.queries < 10 ? s.rows : 6;
    for (const index_t k : {index_t{1}, std::min<index_t>(s.rows, 4), most}) {
      compare_search(support.view(), device_support.view(), queries, k);
      for (const bool normalize : {true, false}) {
        two_queues<T> queue(s.rows + 3, s.cols, normalize);
        queue.push(support, numbers(0, s.rows));
        compare_search(queue.host(), queue.device(), queries, k);
        compare_search(queue.host(), queue.device(), queries, k, numbers(2, s.queries));
      }
    }
  }
}

TEMPLATE_TEST_CASE("pruning excludes no neighbour", "[cuda][nearest]", double, float, feaug::half) {
  using T = TestType;
  // Queries: a block of 128 and one more. Rows: groups of 64, the last one partial; more than one
  // part.
  struct shape {
    index_t queries, rows, cols, k;
  };
  for (const shape& s : {shape{129, 300, 9, 1}, shape{3, 200, 130, 5}, shape{2, 70, 256, 32},
                         shape{2, 70, 257, 2}}) {
    const auto queries = test_matrix<T>::normal(s.queries, s.cols, 1);
    const auto direction = test_matrix<T>::normal(1, s.cols, 3);
    for (const double spread : {1.0, 1e-3, 1e-5, 1e-7, 0.0}) {
      CAPTURE(spread);
      // Similar rows (`spread` apart) of very different norms: their order depends on bits that
      // half precision loses.
      auto support = test_matrix<T>::normal(s.rows, s.cols, 2);
      for (index_t i = 0; i < s.rows; ++i) {
        const double length = i % 3 == 0 ? 0.01 : 7.0;
        for (index_t j = 0; j < s.cols; ++j)
          support.set(i, j, length * (direction.get(0, j) + spread * support.get(i, j)));
      }
      const device_copy<T> device_support(support);
      compare_search(support.view(), device_support.view(), queries, s.k);
    }
  }
}

TEST_CASE("pruning when rounding reverses the order", "[cuda][nearest]") {
  std::mt19937 generator(5);
  std::uniform_real_distribution<double> draw(-1, 1);
  const auto search = [](const test_matrix<double>& rows, const test_matrix<double>& queries) {
    two_queues<double> queue(rows.rows(), rows.cols(), false);
    queue.push(rows, numbers(0, rows.rows()));
    auto host = queue.host();
    auto device = queue.device();
    host.normalize = device.normalize = true;  // the rows are not normalised again
    compare_search(host, device, queries, 1);
  };

  // The query (½, ½, ½, ½) is exact in half. Two rows are near it, and their sums differ by less
  // than the rounding error of the rows; all others are far.
  test_matrix<double> halves(1, 4);
  halves.fill_row(0, 1);
  std::uniform_int_distribution<index_t> any_row(0, 129);
  for (int trial = 0; trial < 30; ++trial) {
    CAPTURE(trial);
    test_matrix<double> rows(130, 4);
    rows.fill(-0.5);
    for (const index_t i : {any_row(generator), any_row(generator)}) {
      double left = 2 + 1e-6 * draw(generator);
      for (index_t j = 0; j < 3; ++j) {
        rows.set(i, j, 0.5 + 1e-3 * draw(generator));
        left -= rows.get(i, j);
      }
      rows.set(i, 3, left);
    }
    search(rows, halves);
  }

  // The rows are exact in half. They lie along (1, 1, −2), almost orthogonal to the queries.
  test_matrix<double> line(400, 3);
  for (index_t i = 0; i < line.rows(); ++i) {
    const double along = static_cast<double>(i - 200) / 1024;
    line.set(i, 0, along);
    line.set(i, 1, along);
    line.set(i, 2, -2 * along);
  }
  test_matrix<double> queries(64, 3);
  for (index_t i = 0; i < queries.rows(); ++i) {
    queries.set(i, 0, 1 + 1e-3 * draw(generator));
    queries.set(i, 1, 1 + 1e-3 * draw(generator));
    queries.set(i, 2, (queries.get(i, 0) + queries.get(i, 1)) / 2 + 1e-6 * draw(generator));
  }
  search(line, queries);
}

TEST_CASE("pruning of rows outside the range of half precision", "[cuda][nearest]") {
  // Rows of a queue that is marked as normalized although they are not unit rows: too large or too
  // small for half, or with squares that overflow float.
  for (const double length : {1e6, 1e-9, 1e30}) {
    CAPTURE(length);
    auto rows = test_matrix<double>::normal(100, 20, 1);
    for (index_t i = 0; i < 100; i += 2) {
      for (index_t j = 0; j < 20; ++j) rows.set(i, j, length * rows.get(i, j));
    }
    two_queues<double> queue(100, 20, false);
    queue.push(rows, numbers(0, 100));
    auto host = queue.host();
    auto device = queue.device();
    host.normalize = device.normalize = true;
    compare_search(host, device, test_matrix<double>::normal(5, 20, 2), 3);
  }
}

TEST_CASE("a search gives the same results for every thread schedule", "[cuda][nearest]") {
  const auto queries = awkward_rows<float>(5, 20, 1);
  const auto support = awkward_rows<float>(200, 20, 2);
  device_test::for_each_schedule([&] {
    const device_copy<float> device_support(support);
    compare_search(support.view(), device_support.view(), queries, 3);
  });
}

TEST_CASE("if fewer than k rows are filled, the rest is missing", "[cuda][nearest]") {
  two_queues<float> queue(5, 3, true);
  feaug::cuda_context gpu;
  const device_copy<float> queries(test_matrix<float>::normal(2, 3, 1));
  const device_array<index_t> indices({-5, -5, -5, -5, -5, -5});
  const device_copy<float> similarities(test_matrix<float>(2, 3));
  const auto search = [&] {
    feaug::nearest(gpu, queue.device(), queries.const_view(),
                   {.indices = {indices.data(), 2, 3}, .similarities = similarities.view()},
                   {.k = 3});
  };
  search();
  CHECK(indices.to_host() == std::vector<index_t>{-1, -1, -1, -1, -1, -1});
  queue.push(test_matrix<float>::normal(2, 3, 2), numbers(0, 2));
  search();
  const auto found = indices.to_host();
  CHECK(found[0] + found[1] == 1);
  CHECK(found[2] == -1);
  CHECK(std::isnan(similarities.host().get(1, 2)));
}

TEMPLATE_TEST_CASE("gather reads the stored rows, and gives NaN for missing indices",
                   "[cuda][queue]", double, float) {
  using T = TestType;
  two_queues<T> queue(6, 5, true);
  queue.push(test_matrix<T>::normal(4, 5, 3), numbers(100, 4));
  const device_array<index_t> slots({3, 0, -1, 3, 5});
  const device_copy<T> values(test_matrix<T>(5, 5, 1));
  const device_array<std::int64_t> ids({0, 0, 0, 0, 0});
  feaug::cuda_context gpu;
  feaug::gather(gpu, queue.device(), feaug::device_vector<const index_t>(slots.data(), 5),
                {.values = values.view(), .ids = {ids.data(), 5}});
  CHECK(ids.to_host() == ids_type{103, 100, -1, 103, -1});
  const auto got = values.host();
  for (index_t j = 0; j < 5; ++j) {
    CHECK(got.get(0, j) == static_cast<double>(queue.host().storage(3, j)));
    CHECK(std::isnan(got.get(2, j)));
    CHECK(std::isnan(got.get(4, j)));
  }
}

TEMPLATE_TEST_CASE("neighbour augmentation with exclusion and fallback", "[cuda][nearest]", double,
                   float, feaug::bfloat16) {
  using T = TestType;
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  const auto x = awkward_rows<T>(8, 5, 4);
  for (const bool normalize : {true, false}) {
    two_queues<T> queue(9, 5, normalize);
    queue.push(test_matrix<T>::normal(1, 5, 5), numbers(2, 1));
    const ids_type own = numbers(0, 8);  // row 2 has no neighbour
    const device_array<std::int64_t> device_own(own);
    std::vector<index_t> indices(8, -5);
    const device_array<index_t> device_indices(indices);
    const feaug::neighbour how = {.gradient = feaug::neighbour_gradient::straight_through,
                                  .fallback = feaug::neighbour_fallback::query};
    const auto host_policy = feaug::neighbour_from(
        queue.host(), how, {.exclude_ids = {own.data(), 8}, .indices = {indices.data(), 8}});
    const auto device_policy = feaug::neighbour_from(
        queue.device(), how,
        {.exclude_ids = {device_own.data(), 8}, .indices = {device_indices.data(), 8}});
    test_matrix<T> want(8, 5, 1);
    const device_copy<T> got(want);
    const device_copy<T> device_x(x);
    feaug::augment(cpu, host_policy, x.view(), {}, want.view());
    feaug::augment(gpu, device_policy, device_x.const_view(), {}, got.view());
    require_same(got.host().values(), want.values());
    CHECK(device_indices.to_host() == indices);
    CHECK(indices[2] == -1);

    // No fallback: a row of NaN instead of an exception.
    feaug::augment(
        gpu, feaug::neighbour_from(queue.device(), {}, {.exclude_ids = {device_own.data(), 8}}),
        device_x.const_view(), {}, got.view());
    CHECK(std::isnan(got.host().get(2, 0)));
    CHECK(std::isfinite(got.host().get(0, 0)));
  }
}

TEST_CASE("error messages of queue and search", "[cuda][queue]") {
  feaug::cuda_context gpu;
  two_queues<float> queue(4, 3, true);
  const device_copy<float> x(test_matrix<float>(2, 3));
  const auto says = [](const std::string& part, const auto& call) {
    const std::string message = testing::message_of(call);
    CAPTURE(message);
    CHECK(message.find(part) != std::string::npos);
  };
  says("nearest: k: got 5, wanted a number from 1 to 4", [&] {
    feaug::nearest(gpu, queue.device(), x.const_view(), {.values = x.view()}, {.k = 5});
  });
  says("enqueue: ids: got none", [&] { feaug::enqueue(gpu, queue.device(), x.const_view()); });
  auto host_counter = queue.device();
  index_t counter = 0;
  host_counter.cursor = &counter;
  const device_array<std::int64_t> ids({1, 2});
  says("enqueue: queue.cursor: got a pointer to ordinary host memory", [&] {
    feaug::enqueue(gpu, host_counter, x.const_view(), {.ids = {ids.data(), 2}});
  });
}

}  // namespace queue_test
