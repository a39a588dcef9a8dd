// sinkhorn on a GPU against the CPU's.
#include "feaug/cuda/loss/sinkhorn.cuh"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "cuda/loss/two_operands.hpp"
#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cpu/loss/sinkhorn.hpp"
#include "support/message_of.hpp"

namespace sinkhorn_test {

using device_test::check_close;
using device_test::device_array;
using device_test::device_copy;
using feaug::index_t;
using testing::test_matrix;

namespace {

template <class T>
void compare(test_matrix<T> scores, index_t extra_rows, index_t iterations) {
  const index_t rows = scores.rows();
  const index_t cols = scores.cols();
  CAPTURE(rows, cols, extra_rows, iterations);
  const auto extra = test_matrix<T>::normal(extra_rows, cols, 2, 1);
  const device_copy<T> device_scores(scores);
  const device_copy<T> device_extra(extra);
  const device_copy<T> device_out(test_matrix<T>(rows, cols, 3));
  test_matrix<T> out(rows, cols);
  std::vector<double> potentials(static_cast<std::size_t>(cols));
  const device_array<double> device_potentials(potentials);
  feaug::sinkhorn_options<T> host{.epsilon = 0.25, .iterations = iterations};
  feaug::device_sinkhorn_options<T> device{.epsilon = 0.25, .iterations = iterations};
  if (extra_rows > 0) {
    host.extra_scores = extra.view();
    device.extra_scores = device_extra.view();
  }
  feaug::cpu_context cpu{.threads = 2};
  feaug::cuda_context gpu;
  feaug::sinkhorn(cpu, scores.view(), out.view(), host);
  feaug::sinkhorn(gpu, device_scores.view(), device_out.view(), device);
  const auto got = device_out.host();
  CHECK(testing::relative_error(got.values(), out.values()) <= testing::tolerance<T>());
  CHECK(got.padding_intact());
  feaug::sinkhorn_potentials(cpu, scores.view(), {potentials.data(), cols}, host);
  feaug::sinkhorn_potentials(gpu, device_scores.view(),
                             feaug::device_vector<double>(device_potentials.data(), cols), device);
  check_close(device_potentials.to_host(), potentials, testing::tolerance<feaug::compute_t<T>>());
  feaug::sinkhorn(gpu, device_scores.view(), device_scores.view(), device);
  // NaN is not itself: compare what is stored.
  CHECK(testing::relative_error(device_scores.host().values(), got.values()) == 0);
}

template <class T>
test_matrix<T> normal(index_t rows, index_t cols) {
  return test_matrix<T>::normal(rows, cols, 1, 2);
}

}  // namespace

TEMPLATE_TEST_CASE("sinkhorn is the CPU's", "[cuda][loss]", double, float) {
  using T = TestType;
  compare(normal<T>(1, 1), 0, 3);
  compare(normal<T>(1, 5), 2, 3);
  compare(normal<T>(6, 1), 0, 0);
  compare(normal<T>(5, 7), 4, 0);
  compare(normal<T>(33, 40), 5, 1);
  compare(normal<T>(70, 65), 0, 3);
}

TEMPLATE_TEST_CASE("sinkhorn of 16-bit scores", "[cuda][loss]", feaug::half, feaug::bfloat16) {
  compare(normal<TestType>(9, 35), 2, 3);
}

TEST_CASE("sinkhorn at the edges", "[cuda][loss]") {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const index_t iterations : {0, 1, 3}) {
    auto scores = normal<float>(6, 5);
    scores.set(0, 0, 1e30);
    scores.fill_row(1, -infinity);
    scores.set(2, 2, -infinity);
    for (index_t i = 0; i < 6; ++i) scores.set(i, 4, -infinity);
    for (index_t i = 0; i < 6; ++i) scores.set(i, 3, scores.get(i, 3) - 1024);
    compare(scores, 0, iterations);
    compare(scores, 2, iterations);
    scores = normal<float>(6, 5);
    scores.set(3, 1, infinity);
    compare(scores, 0, iterations);
    scores.set(3, 1, std::numeric_limits<double>::quiet_NaN());
    compare(scores, 0, iterations);
    scores.fill_row(1, -infinity);
    compare(scores, 0, iterations);
  }
}

TEST_CASE("sinkhorn is the same bits in every order of threads", "[cuda][loss]") {
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    std::vector<double> all;
    for (const index_t iterations : {0, 3}) {
      const device_copy<float> scores(normal<float>(40, 37));
      const device_copy<float> extra(test_matrix<float>::normal(3, 37, 2));
      const device_copy<float> out(test_matrix<float>(40, 37));
      feaug::cuda_context gpu;
      feaug::sinkhorn(gpu, scores.view(), out.view(),
                      {.iterations = iterations, .extra_scores = extra.view()});
      for (const double x : out.host().values()) all.push_back(x);
    }
    if (first.empty()) first = all;
    CHECK(all == first);
  });
}

TEST_CASE("bad arguments of sinkhorn", "[cuda][loss]") {
  feaug::cuda_context gpu;
  auto host = test_matrix<float>::normal(4, 3, 1);
  const device_copy<float> scores(host);
  const device_copy<float> out(host);
  const feaug::device_matrix<float> on_host(host.view().data, 4, 3);
  CHECK(testing::message_of([&] { feaug::sinkhorn(gpu, scores.view(), on_host); }) ==
        "sinkhorn: out: got a pointer to ordinary host memory, wanted device memory");
  CHECK(testing::message_of(
            [&] { feaug::sinkhorn(gpu, scores.view(), out.view(), {.extra_scores = on_host}); }) ==
        "sinkhorn: extra_scores: got a pointer to ordinary host memory, wanted device memory");
  CHECK(testing::message_of([&] {
          feaug::sinkhorn(gpu, scores.view(), out.view(), {.iterations = -1});
        }) == "sinkhorn: iterations: got -1, wanted at least 0");
  std::vector<double> numbers(3);
  CHECK(testing::message_of([&] {
          feaug::sinkhorn_potentials(gpu, scores.view(),
                                     feaug::device_vector<double>(numbers.data(), 3));
        }) ==
        "sinkhorn_potentials: potentials: got a pointer to ordinary host memory, wanted device "
        "memory");
}

}  // namespace sinkhorn_test
