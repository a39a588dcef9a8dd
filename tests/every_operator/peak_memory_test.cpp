// Losses must not store an N × M matrix: measures the increase of the process's peak memory. Not
// built with sanitizers, because they allocate memory themselves.
#include <catch2/catch.hpp>
#include <fstream>
#include <string>
#include <vector>

#include "feaug/cpu/loss/barlow_twins.hpp"
#include "feaug/cpu/loss/hard_negative_info_nce.hpp"
#include "feaug/cpu/loss/hypersphere.hpp"
#include "feaug/cpu/loss/info_nce.hpp"
#include "feaug/cpu/loss/nt_xent.hpp"
#include "feaug/cpu/loss/relation_distillation.hpp"
#include "feaug/cpu/loss/sigmoid.hpp"
#include "feaug/cpu/loss/soft_neighbour_contrast.hpp"
#include "feaug/cpu/loss/supervised_contrastive.hpp"
#include "feaug/cpu/loss/swapped_assignment.hpp"
#include "feaug/cpu/loss/symmetric_info_nce.hpp"
#include "support/test_matrix.hpp"

namespace peak_memory_test {
namespace {

/// Returns the field `name` of /proc/self/status, in KiB.
long status(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(name + ":", 0) == 0) return std::stol(line.substr(name.size() + 1));
  }
  FAIL("no " << name << " in /proc/self/status");
  return 0;
}

/// Peak resident memory during `work` minus resident memory before it, in MiB.
template <class Work>
double growth(const Work& work) {
  std::ofstream("/proc/self/clear_refs") << "5";  // resets the peak (VmHWM)
  const long before = status("VmRSS");
  work();
  return static_cast<double>(status("VmHWM") - before) / 1024.0;
}

}  // namespace

TEST_CASE("losses of 20000 rows raise the peak by less than 32 MiB", "[memory]") {
  using testing::test_matrix;
  const feaug::index_t rows = 20000;
  const feaug::index_t cols = 64;  // the logits would be 1600 MB
  const auto a = test_matrix<float>::normal(rows, cols, 1);
  const auto b = test_matrix<float>::normal(rows, cols, 2);
  test_matrix<float> d_a(rows, cols);
  test_matrix<float> d_b(rows, cols);
  const auto x = differentiable(a.view(), d_a.view());
  const auto y = differentiable(b.view(), d_b.view());
  SECTION("info_nce, gradients on both sides") {
    feaug::cpu_context ctx{.threads = 2};
    CHECK(growth([&] { feaug::info_nce_with_gradients(ctx, x, y); }) < 32);
    CHECK(ctx.workspace.peak() < (16U << 20U));
  }
  SECTION("symmetric_info_nce, stopped keys") {
    feaug::cpu_context ctx{.threads = 2};
    CHECK(growth([&] {
            feaug::symmetric_info_nce_with_gradients(ctx, x, stop_gradient(b.view()));
          }) < 32);
    CHECK(ctx.workspace.peak() < (16U << 20U));
  }
  SECTION("sigmoid, gradients on both sides") {
    feaug::cpu_context ctx{.threads = 2};
    CHECK(growth([&] { feaug::sigmoid_with_gradients(ctx, x, y); }) < 32);
    CHECK(ctx.workspace.peak() < (16U << 20U));
  }
  SECTION("hypersphere, gradients on both sides") {
    feaug::cpu_context ctx{.threads = 2};
    CHECK(growth([&] { feaug::hypersphere_with_gradients(ctx, x, y); }) < 32);
    CHECK(ctx.workspace.peak() < (16U << 20U));
  }
  SECTION("supervised_contrastive") {
    feaug::cpu_context ctx{.threads = 2};
    std::vector<feaug::index_t> labels;
    for (feaug::index_t i = 0; i < rows; ++i) labels.push_back(i % 1000);
    const feaug::vector_view<const feaug::index_t> of_rows(labels.data(), rows);
    CHECK(growth([&] { feaug::supervised_contrastive_with_gradients(ctx, x, of_rows); }) < 32);
    CHECK(ctx.workspace.peak() < (16U << 20U));
  }
  SECTION("swapped_assignment, which stores no assignments") {
    feaug::cpu_context ctx{.threads = 2};
    CHECK(growth([&] { feaug::swapped_assignment_with_gradients(ctx, x, y); }) < 2);
    CHECK(ctx.workspace.peak() < (1U << 20U));  // assignments would be 5 MB per view
  }
  SECTION("hard_negative_info_nce") {
    feaug::cpu_context ctx{.threads = 2};
    const auto negatives = test_matrix<float>::normal(400, cols, 3);
    // 20000 × 100 slots and 20000 × 32 synthetic rows would be 16 and 164 MB.
    CHECK(growth([&] {
            feaug::hard_negative_info_nce_with_gradients(
                ctx, x, y, {.hardest = 100, .counts = {.interpolated = 8, .mixed = 20, .noisy = 4}},
                {.in_batch_negatives = false, .negatives = stop_gradient(negatives.view())});
          }) < 32);
    CHECK(ctx.workspace.peak() < (16U << 20U));
  }
  SECTION("relation_distillation") {
    feaug::cpu_context ctx{.threads = 2};
    const auto some = differentiable(a.view().rows_from(0, 1000), d_a.view().rows_from(0, 1000));
    const auto keys = a.view().rows_from(1000, 1000);  // with all of b, logits would be 80 MB
    CHECK(growth([&] { feaug::relation_distillation_with_gradients(ctx, some, keys, b.view()); }) <
          32);
    CHECK(ctx.workspace.peak() < (16U << 20U));
  }
  SECTION("soft_neighbour_contrast") {
    feaug::cpu_context ctx{.threads = 2};
    const auto some = differentiable(a.view().rows_from(0, 2000), d_a.view().rows_from(0, 2000));
    const auto keys = a.view().rows_from(2000, 2000);
    const auto neighbours = b.view().rows_from(0, 10000);  // the logits would be 96 MB
    CHECK(growth([&] {
            feaug::soft_neighbour_contrast_with_gradients(ctx, some, keys, neighbours);
          }) < 32);
    CHECK(ctx.workspace.peak() < (16U << 20U));
  }
  SECTION("nt_xent of half of the rows") {
    feaug::cpu_context ctx{.threads = 2};
    const auto first =
        differentiable(a.view().rows_from(0, rows / 2), d_a.view().rows_from(0, rows / 2));
    CHECK(growth([&] {
            feaug::nt_xent_with_gradients(ctx, first,
                                          stop_gradient(b.view().rows_from(0, rows / 2)));
          }) < 32);
    CHECK(ctx.workspace.peak() < (16U << 20U));
  }
}

TEST_CASE("barlow_twins of 3000 features takes less than 16 MiB of scratch", "[memory]") {
  const auto a = testing::test_matrix<float>::normal(4, 3000, 1);  // all of C would be 36 MB
  testing::test_matrix<float> d_a(4, 3000);
  feaug::cpu_context ctx{.threads = 2};
  feaug::barlow_twins_with_gradients(ctx, differentiable(a.view(), d_a.view()),
                                     stop_gradient(a.view()));
  CHECK(ctx.workspace.peak() < (16U << 20U));
}

}  // namespace peak_memory_test
