// Diagnostics on a GPU compared with the CPU.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cpu/diagnostics/alignment.hpp"
#include "feaug/cpu/diagnostics/effective_rank.hpp"
#include "feaug/cpu/diagnostics/feature_deviation.hpp"
#include "feaug/cpu/diagnostics/neighbour_share.hpp"
#include "feaug/cpu/diagnostics/uniformity.hpp"
#include "feaug/cuda/diagnostics/alignment.cuh"
#include "feaug/cuda/diagnostics/effective_rank.cuh"
#include "feaug/cuda/diagnostics/feature_deviation.cuh"
#include "feaug/cuda/diagnostics/neighbour_share.cuh"
#include "feaug/cuda/diagnostics/uniformity.cuh"
#include "support/message_of.hpp"

namespace diagnostics_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::index_t;
using testing::test_matrix;

namespace {

/// A number in device memory.
class device_number {
 public:
  [[nodiscard]] feaug::device_vector<double> view() const { return {memory_.data(), 1}; }
  [[nodiscard]] double value() const { return memory_.to_host()[0]; }

 private:
  device_array<double> memory_{{-77.0}};
};

template <class T>
void compare(index_t rows, index_t cols) {
  CAPTURE(rows, cols);
  auto host_a = test_matrix<T>::normal(rows, cols, 1, 1);
  const auto host_b = test_matrix<T>::normal(rows, cols, 2);
  if (rows > 3) host_a.fill_row(2, 0);
  const device_copy<T> a(host_a);
  const device_copy<T> b(host_b);
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  const double allowed = std::is_same_v<T, double> ? 1e-12 : 2e-6;
  const device_number got;
  for (const double alpha : {2.0, 1.0}) {
    feaug::alignment(gpu, a.const_view(), b.const_view(), got.view(), {.alpha = alpha});
    CHECK(got.value() ==
          Approx(feaug::alignment(cpu, host_a.view(), host_b.view(), {.alpha = alpha}))
              .epsilon(1e-12));
  }
  if (rows < 2) return;
  for (const double t : {2.0, 30.0}) {
    feaug::uniformity(gpu, a.const_view(), got.view(), {.t = t});
    CHECK(got.value() ==
          Approx(feaug::uniformity(cpu, host_a.view(), {.t = t})).epsilon(30 * allowed));
  }
  std::vector<double> want(static_cast<std::size_t>(cols));
  const device_array<double> deviations(std::vector<double>(want.size(), -1.0));
  double number = 0;
  feaug::feature_deviation(cpu, host_a.view(), feaug::scalar(number), {want.data(), cols});
  feaug::feature_deviation(gpu, a.const_view(), got.view(), {deviations.data(), cols});
  CHECK(got.value() == Approx(number).epsilon(1e-12));
  CHECK(testing::relative_error(deviations.to_host(), want) < 1e-12);
}

}  // namespace

TEST_CASE("diagnostics agree with the CPU", "[cuda][diagnostics]") {
  compare<double>(1, 3);
  compare<double>(2, 1);
  compare<double>(41, 37);
  compare<float>(70, 33);
  compare<feaug::half>(6, 9);
  compare<feaug::bfloat16>(6, 9);
}

TEST_CASE("effective_rank on a GPU agrees with the CPU", "[cuda][diagnostics]") {
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  const device_number got;
  const auto compare_rank = [&](const auto& host, double tolerance) {
    const device_copy x(host);
    const double want = feaug::effective_rank(cpu, host.view());
    feaug::effective_rank(gpu, x.const_view(), got.view());
    CAPTURE(host.rows(), host.cols());
    CHECK(got.value() == Approx(want).epsilon(tolerance));
  };
  for (const auto& [rows, cols] : std::vector<std::pair<index_t, index_t>>{
           {1, 1}, {1, 7}, {7, 1}, {2, 2}, {41, 37}, {33, 70}, {5, 3}}) {
    compare_rank(test_matrix<double>::normal(rows, cols, 1, 1), 1e-10);
    compare_rank(test_matrix<float>::normal(rows, cols, 2), 1e-10);
  }
  compare_rank(test_matrix<feaug::half>::normal(6, 9, 3), 1e-10);
  compare_rank(test_matrix<feaug::bfloat16>::normal(6, 9, 3), 1e-10);
  // Rows whose fourth powers overflow or underflow in double; rank 1; few directions; a diagonal
  // matrix; zeros.
  auto huge = test_matrix<double>::normal(12, 9, 4);
  auto tiny = huge;
  auto one = huge;
  auto flat = huge;
  auto diagonal = test_matrix<double>(9, 9);
  for (index_t i = 0; i < 12; ++i) {
    for (index_t j = 0; j < 9; ++j) {
      huge.set(i, j, huge.view()(i, j) * 1e140);
      tiny.set(i, j, tiny.view()(i, j) * 1e-140);
      one.set(i, j, static_cast<double>((i + 1) * (j - 4)));
      flat.set(i, j, j < 3 ? flat.view()(i, j) : flat.view()(i, j % 3));
      if (i < 9) diagonal.set(i, j, i == j ? static_cast<double>(i) : 0.0);
    }
  }
  compare_rank(huge, 1e-10);
  compare_rank(tiny, 1e-10);
  compare_rank(one, 1e-7);
  compare_rank(flat, 1e-7);
  compare_rank(diagonal, 1e-10);
  auto zeros = test_matrix<float>::normal(4, 3, 1);
  for (index_t i = 0; i < 4; ++i) zeros.fill_row(i, 0);
  compare_rank(zeros, 0);
}

TEST_CASE("neighbour diagnostics agree with the CPU", "[cuda][diagnostics]") {
  const index_t queries = 600;
  std::vector<index_t> indices;
  std::vector<index_t> labels;
  for (index_t i = 0; i < queries; ++i) {
    for (index_t k = 0; k < 3; ++k) indices.push_back((7 * i + 5 * k) % 51 - 1);
    labels.push_back(i % 4);
  }
  std::vector<index_t> of_queue;
  of_queue.reserve(50);
  for (index_t m = 0; m < 50; ++m) of_queue.push_back(m % 5);
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  const device_array<index_t> device_labels(labels);
  const device_array<index_t> device_queue(of_queue);
  const feaug::device_vector<const index_t> label_view(device_labels.data(), queries);
  const feaug::device_vector<const index_t> queue_view(device_queue.data(), 50);
  const device_number got;
  const auto on_device = [&](const std::vector<index_t>& from, const auto& share) {
    const device_array<index_t> memory(from);
    share(gpu, feaug::device_matrix<const index_t>(memory.data(), queries, 3), queue_view,
          label_view, got.view());
    return got.value();
  };
  const auto accuracy = [](auto&&... in) { feaug::neighbour_accuracy(in...); };
  const auto same_sample = [](auto&&... in) { feaug::same_sample_share(in...); };
  const double want =
      feaug::neighbour_accuracy(cpu, feaug::matrix_view<const index_t>(indices.data(), queries, 3),
                                feaug::vector_view<const index_t>(of_queue.data(), 50),
                                feaug::vector_view<const index_t>(labels.data(), queries));
  CHECK((want > 0 && want < 1));
  CHECK(on_device(indices, accuracy) == want);
  CHECK(on_device(indices, same_sample) == want);
  CHECK(std::isnan(on_device(std::vector<index_t>(indices.size(), -1), accuracy)));
  indices[100] = 50;
  CHECK(std::isnan(on_device(indices, accuracy)));
}

TEST_CASE("diagnostics: same bits for every thread schedule, NaN for NaN inputs",
          "[cuda][diagnostics]") {
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    const device_copy<float> a(test_matrix<float>::normal(40, 35, 1));
    const device_copy<float> b(test_matrix<float>::normal(40, 35, 2));
    const device_number got[4];
    feaug::cuda_context gpu;
    feaug::alignment(gpu, a.const_view(), b.const_view(), got[0].view());
    feaug::uniformity(gpu, a.const_view(), got[1].view());
    feaug::feature_deviation(gpu, a.const_view(), got[2].view());
    feaug::effective_rank(gpu, a.const_view(), got[3].view());
    const std::vector<double> all = {got[0].value(), got[1].value(), got[2].value(),
                                     got[3].value()};
    if (first.empty()) first = all;
    CHECK(all == first);
  });
  auto bad = test_matrix<float>::normal(5, 3, 1);
  bad.set(3, 1, std::numeric_limits<double>::quiet_NaN());
  const device_copy<float> x(bad);
  const device_number got[4];
  feaug::cuda_context gpu;
  feaug::alignment(gpu, x.const_view(), x.const_view(), got[0].view());
  feaug::uniformity(gpu, x.const_view(), got[1].view());
  feaug::feature_deviation(gpu, x.const_view(), got[2].view());
  feaug::effective_rank(gpu, x.const_view(), got[3].view());
  for (const device_number& number : got) CHECK(std::isnan(number.value()));
}

TEST_CASE("error messages of diagnostics on a GPU", "[cuda][diagnostics]") {
  const device_copy<float> x(test_matrix<float>::normal(4, 3, 1));
  feaug::cuda_context gpu;
  double on_host = 5;
  const feaug::device_vector<double> host_number(&on_host, 1);
  const device_number to;
  using testing::message_of;
  CHECK(message_of([&] { feaug::alignment(gpu, x.view(), x.view(), host_number); }) ==
        "alignment: to: got a pointer to ordinary host memory, wanted device memory");
  CHECK(message_of([&] { feaug::uniformity(gpu, x.view(), host_number); }) ==
        "uniformity: to: got a pointer to ordinary host memory, wanted device memory");
  CHECK(message_of([&] { feaug::feature_deviation(gpu, x.view(), host_number); }) ==
        "feature_deviation: to: got a pointer to ordinary host memory, wanted device memory");
  CHECK(message_of([&] { feaug::effective_rank(gpu, x.view(), host_number); }) ==
        "effective_rank: to: got a pointer to ordinary host memory, wanted device memory");
  CHECK(message_of([&] { feaug::uniformity(gpu, x.view().rows_from(0, 1), to.view()); }) ==
        "uniformity: x: got 1 row, wanted at least 2");
}

}  // namespace diagnostics_test
