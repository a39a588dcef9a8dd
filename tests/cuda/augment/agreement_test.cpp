// Every augmentation on a GPU compared with the CPU, for every table entry: values, all gradients,
// draws and found neighbours, in place, edge cases. The results must have the same bits for every
// thread schedule, and pointers to host memory must be rejected.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <vector>

#include "cuda/support/schedules.hpp"
#include "feaug/cuda/augment/adversarial.cuh"
#include "feaug/cuda/augment/covariance_noise.cuh"
#include "feaug/cuda/augment/elementwise.cuh"
#include "feaug/cuda/augment/l2_normalize.cuh"
#include "feaug/cuda/augment/latent_noise.cuh"
#include "feaug/cuda/augment/mask.cuh"
#include "feaug/cuda/augment/mix.cuh"
#include "feaug/cuda/augment/noise.cuh"
#include "feaug/cuda/augment/pseudo_neighbour.cuh"
#include "feaug/cuda/augment/row_mix.cuh"
#include "feaug/cuda/augment/soft_neighbour.cuh"
#include "support/augmentation_case.hpp"
#include "support/augmentation_cases.hpp"
#include "support/augmentation_runs.hpp"
#include "support/message_of.hpp"
#include "support/operators/cuda_backend.hpp"
#include "support/test_matrix.hpp"

namespace agreement_test {

using conformance::result;
using conformance::test_case;
using feaug::index_t;
using testing::augmentation_case;

namespace {

template <class T>
using cuda_table = testing::augmentation_table<conformance::cuda_backend, T>;

template <class T>
double tolerance_of(const augmentation_case& row) {
  const double share = row.tolerance * testing::tolerance<T>();
#if defined(__CUDACC__)
  // On a GPU, exp and sums of products differ from the CPU's in the last bit of float. Where this
  // flips the rounding of a 16-bit result, the row differs by up to half's 2⁻¹⁰ or bfloat16's 2⁻⁷.
  if constexpr (std::is_same_v<T, feaug::half>) return std::max(share, 0x1p-10);
  if constexpr (std::is_same_v<T, feaug::bfloat16>) return std::max(share, 0x1p-7);
#endif
  return share;
}

/// Results that may differ by rounding. Draws of covariance noise are products with its factor.
bool is_rounded(const augmentation_case& row, const result& one) {
  return one.name == "out" || one.name.starts_with("grad_") ||
         (one.name == "epsilon" && row.least_cols > 0);
}

/// Equal numbers, or both NaN.
bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

template <class T>
void check(const augmentation_case& row, const result& got, const result& want) {
  INFO(want.name << " " << want.route);
  REQUIRE(got.name == want.name);
  if (want.exact) {  // number of overwritten padding elements
    CHECK(got.value.data == std::vector<double>{0});
    CHECK(want.value.data == std::vector<double>{0});
  } else if (is_rounded(row, want) && want.name != row.exact_result) {
    // Row by row, because rows of edge cases differ widely in size.
    const std::size_t cols = testing::columns_of(want);
    double worst = 0;
    std::size_t where = 0;
    for (std::size_t e = 0; e < want.value.data.size(); e += cols) {
      const auto row_of = [&](const result& all) {
        const auto begin = all.value.data.begin() + static_cast<std::ptrdiff_t>(e);
        return std::vector<double>(begin, begin + static_cast<std::ptrdiff_t>(cols));
      };
      const double error = testing::relative_error(row_of(got), row_of(want));
      if (error <= worst) continue;
      worst = error;
      where = e / cols;
    }
    INFO("row " << where);
    CHECK(worst <= tolerance_of<T>(row));
  } else {
    CHECK(std::equal(got.value.data.begin(), got.value.data.end(), want.value.data.begin(),
                     want.value.data.end(), same));
  }
}

template <class T>
void compare(const augmentation_case& on_cpu, const augmentation_case& on_gpu, test_case& given) {
  INFO(on_cpu.name << " " << given.name);
  const std::vector<result> want = testing::run(on_cpu, given);
  const std::vector<result> got = testing::run(on_gpu, given);
  REQUIRE(got.size() == want.size());
  for (std::size_t i = 0; i < want.size(); ++i) {
    check<T>(on_cpu, got[i], want[i]);
    if (given.name == "edge cases" || !is_rounded(on_cpu, want[i])) continue;
    // NaN on both sides would be equal, also if nobody wrote the output.
    CHECK(std::none_of(want[i].value.data.begin(), want[i].value.data.end(),
                       [](double x) { return std::isnan(x); }));
  }
}

/// visit(CPU entry, GPU entry) for every entry of the table.
template <class T, class Visit>
void for_each_row(const Visit& visit) {
  const std::vector<augmentation_case> cpu = testing::cpu_augmentations<T>();
  const std::vector<augmentation_case> gpu = cuda_table<T>().rows;
  REQUIRE(cpu.size() == gpu.size());
  for (std::size_t i = 0; i < cpu.size(); ++i) visit(cpu[i], gpu[i]);
}

}  // namespace

TEMPLATE_TEST_CASE("every augmentation agrees with the CPU", "[cuda][augment][agreement]", double,
                   float, feaug::half, feaug::bfloat16) {
  using T = TestType;
  for_each_row<T>([&](const augmentation_case& on_cpu, const augmentation_case& on_gpu) {
    testing::for_each_shape(on_cpu, [&](index_t rows, index_t cols) {
      test_case given = testing::features_of(on_cpu, rows, cols);
      compare<T>(on_cpu, on_gpu, given);
      if (rows != 9 && cols != 64) return;  // gradient modes: for one shape only
      testing::for_each_modes(on_cpu, given,
                              [&](test_case& one) { compare<T>(on_cpu, on_gpu, one); });
    });
    test_case broken = testing::features_at_the_edges<T>(on_cpu);
    compare<T>(on_cpu, on_gpu, broken);
    if constexpr (std::is_same_v<T, float>) {
      if (!on_cpu.is_large) return;
      for (const index_t cols : {32, 33, 131}) {
        test_case tiles = testing::features_of(on_cpu, 67, cols);
        compare<T>(on_cpu, on_gpu, tiles);
      }
    }
  });
}

TEST_CASE("neighbours found on tensor cores agree with the CPU", "[cuda][augment][neighbour]") {
  for_each_row<float>([](const augmentation_case& on_cpu, const augmentation_case& on_gpu) {
    if (on_cpu.least_cols == 0) return;  // no search
    test_case given = testing::features_of(on_cpu, 9, 40);
    given.options["tensor_cores"] = true;
    compare<float>(on_cpu, on_gpu, given);
  });
}

TEST_CASE("every augmentation gives the same bits for every thread schedule",
          "[cuda][augment][schedules]") {
  for (const augmentation_case& row : cuda_table<float>().rows) {
    const bool searches = row.least_cols > 0;
    test_case given = testing::features_of(row, searches ? 5 : 10, 35);
    given.options["in_place"] = !searches;
    INFO(row.name);
    std::optional<std::vector<std::uint64_t>> first;
    device_test::for_each_schedule([&] {
      const std::vector<std::uint64_t> bits = testing::bits_of(testing::run(row, given));
      if (!first) first = bits;
      const bool same_bits = bits == *first;
      CHECK(same_bits);
    });
  }
}

TEST_CASE("every augmentation rejects host memory before it writes", "[cuda][augment]") {
  std::set<std::string> seen;
  for (const augmentation_case& row : cuda_table<float>().rows) {
    // These check a part's pointers only when they run the part.
    if (row.op == "compose" || row.op.starts_with("one_of")) continue;
    test_case given = testing::features_of(row, 4, 6);
    std::set<std::string> pointers = {"out"};
    for (const result& one : testing::run(row, given)) {
      if (!one.exact && !is_rounded(row, one)) pointers.insert(one.name);
    }
    for (const auto& [name, input] : given.inputs) {
      if (name != "support" || !given.inputs.contains("queue.ids")) pointers.insert(name);
    }
    for (const std::string& pointer : pointers) {
      if (!seen.insert(row.op + pointer).second) continue;
      given.wrong = {.argument = pointer, .what = conformance::damage::kind::host_memory};
      INFO(row.name);
      const std::string message = testing::message_of([&] { testing::run(row, given); });
      const std::string refusal =
          ": " + pointer + ": got a pointer to ordinary host memory, wanted device memory";
      INFO(message);
      CHECK(message.ends_with(refusal));
      const std::string opening = message.substr(0, message.find(':'));
      const bool is_own = opening == row.op || opening == "draw" || opening.ends_with("_backward");
      CHECK((is_own || (row.least_cols > 0 && opening == "nearest")));
    }
  }
}

}  // namespace agreement_test
