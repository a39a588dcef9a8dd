// No N × M matrix: what a loss adds to the process's peak memory.
#include <catch2/catch.hpp>
#include <fstream>
#include <string>
#include <vector>

#include "feaug/loss/info_nce.hpp"
#include "feaug/loss/nt_xent.hpp"
#include "feaug/loss/symmetric_info_nce.hpp"
#include "support/test_matrix.hpp"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FEAUG_TEST_SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FEAUG_TEST_SANITIZED
#endif

#ifndef FEAUG_TEST_SANITIZED

namespace {

/// A number of KiB out of /proc/self/status.
long status(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(name + ":", 0) == 0) return std::stol(line.substr(name.size() + 1));
  }
  FAIL("no " << name << " in /proc/self/status");
  return 0;
}

/// How far `work` raises the peak over what is resident when it begins, in MiB.
template <class Work>
double growth(const Work& work) {
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak starts over from what is resident now
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
  SECTION("nt_xent over half of them") {
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

#endif
