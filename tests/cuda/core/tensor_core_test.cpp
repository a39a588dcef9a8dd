// Wrappers of tensor-core instructions and of asynchronous copies, compared with plain loops.
#include "feaug/cuda/core/tensor_core.cuh"

#include <catch2/catch.hpp>
#include <cmath>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cuda/core/async_copy.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/tile_products.cuh"
#include "feaug/feaug.cuh"
#include "support/test_matrix.hpp"

namespace tensor_core_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::bfloat16;
using feaug::index_t;
using testing::test_matrix;

namespace {

namespace cuda = feaug::cuda;

constexpr int features = 64;

/// products (128 × 64) = rows · columnsᵀ, and sums (128 × features) = products · columns.
template <class E>
__global__ void products_kernel(cuda::tensor_rows<E> rows, cuda::tensor_rows<E> columns,
                                float* products, float* sums) {
  using tiles_type = cuda::product_tiles<E, features>;
  FEAUG_DYNAMIC_SHARED(tiles_type, tiles);
  const int warp_row = static_cast<int>(threadIdx.x) / cuda::warp_lanes * cuda::warp_rows;
  cuda::tile_sums weighted[features / 8] = {};
  cuda::for_each_column_tile<features>(
      *tiles, rows, 0, columns, 0, columns.count, [](index_t, int) {},
      [&](index_t first, int stage) {
        cuda::tile_sums tile[cuda::column_steps];
        cuda::multiply_rows<features>(&tiles->rows[warp_row], tiles->columns[stage], tile);
        for (int n = 0; n < cuda::column_steps; ++n) {
          for (int e = 0; e < 4; ++e) {
            const index_t i = warp_row + cuda::row_in_warp(e);
            const index_t j = first + cuda::column_in_tile(n, e);
            if (i < rows.count && j < columns.count)
              products[i * columns.count + j] = tile[n].at[e];
          }
        }
        if constexpr (std::is_same_v<E, bfloat16>)
          cuda::add_weighted<features>(tile, tiles->columns[stage], weighted);
      });
  for (int n = 0; n < features / 8; ++n) {
    for (int e = 0; e < 4; ++e) {
      const index_t i = warp_row + cuda::row_in_warp(e);
      if (i < rows.count) sums[i * features + cuda::column_in_tile(n, e)] = weighted[n].at[e];
    }
  }
}

/// Small integers, which are exact in 16 bits and whose sums are exact in float, in any order.
template <class E>
std::vector<E> whole_numbers(index_t count, int most, int seed) {
  std::vector<E> all;
  for (index_t i = 0; i < count; ++i) {
    const auto value = static_cast<float>((i * 7 + i / 11 * 3 + seed) % (2 * most + 1) - most);
    all.push_back(feaug::store<E>(value));
  }
  return all;
}

template <class Number>
__global__ void copied_before_waiting(const Number* from, Number* out, bool waits) {
  struct numbers {
    alignas(16) Number at[32 * 4];
  };
  FEAUG_SHARED(numbers, shared);
  Number* const mine = shared.at + 4 * threadIdx.x;
  cuda::begin_copy_16(mine, from + 4 * threadIdx.x, threadIdx.x % 2 == 0);
  cuda::close_copy_group();
  if (waits) cuda::wait_for_copy_groups<0>();
  __syncthreads();
  for (unsigned i = 0; i < 4; ++i) out[4 * threadIdx.x + i] = mine[i];
}

template <class Number>
__global__ void unaligned_copy(const Number* from, Number* out) {
  struct numbers {
    alignas(16) Number at[8];
  };
  FEAUG_SHARED(numbers, shared);
  cuda::begin_copy_16(shared.at, from + 1, true);
  out[0] = 0;
}

template <class Number>
__global__ void much_shared_memory(Number* out) {
  out[0] = 1;
}

}  // namespace

TEMPLATE_TEST_CASE("tile products equal the sums of plain loops", "[cuda][tensor][threads]",
                   feaug::half, bfloat16) {
  using E = TestType;
  // 128 × 64: whole tiles. 17 × 130: several tiles, the last ones partial.
  for (const auto& [row_count, column_count] :
       std::vector<std::pair<index_t, index_t>>{{128, 64}, {17, 130}, {1, 1}}) {
    CAPTURE(row_count, column_count);
    const auto rows = whole_numbers<E>(row_count * features, 2, 1);
    const auto columns = whole_numbers<E>(column_count * features, 1, 2);
    std::vector<float> products;
    for (index_t i = 0; i < row_count; ++i) {
      for (index_t j = 0; j < column_count; ++j) {
        float sum = 0;
        for (index_t d = 0; d < features; ++d) {
          sum += feaug::load(rows[static_cast<std::size_t>(i * features + d)]) *
                 feaug::load(columns[static_cast<std::size_t>(j * features + d)]);
        }
        products.push_back(sum);
      }
    }
    std::vector<float> sums(static_cast<std::size_t>(row_count * features));
    if (std::is_same_v<E, bfloat16>) {
      for (index_t i = 0; i < row_count; ++i) {
        for (index_t j = 0; j < column_count; ++j) {
          const float weight = products[static_cast<std::size_t>(i * column_count + j)];
          REQUIRE(feaug::load(feaug::store<bfloat16>(weight)) == weight);
          for (index_t d = 0; d < features; ++d) {
            sums[static_cast<std::size_t>(i * features + d)] +=
                weight * feaug::load(columns[static_cast<std::size_t>(j * features + d)]);
          }
        }
      }
    }
    const device_array<E> device_rows(rows);
    const device_array<E> device_columns(columns);
    feaug::cuda_context ctx;
    const cuda::operation call(ctx, "test");
    constexpr auto bytes = sizeof(cuda::product_tiles<E, features>);
    call.allow_dynamic_shared(products_kernel<E>, bytes);
    // A named variable, because clang 14 cannot capture structured bindings.
    const cuda::tensor_rows<E> all_rows = {device_rows.data(), row_count, features};
    const cuda::tensor_rows<E> all_columns = {device_columns.data(), column_count, features};
    device_test::for_each_schedule([&] {
      const device_array<float> got_products(std::vector<float>(products.size()));
      const device_array<float> got_sums(std::vector<float>(sums.size(), 1));
      call.launch(products_kernel<E>, 1, cuda::tile_block, bytes, all_rows, all_columns,
                  got_products.data(), got_sums.data());
      const bool same = got_products.to_host() == products && got_sums.to_host() == sums;
      CHECK(same);
    });
  }
}

#if defined(FEAUG_SIMT)
TEST_CASE("two floats are packed as a pair of bfloat16", "[cuda][tensor]") {
  CHECK(cuda::bfloat16_pair(1.0F, -2.0F) == 0xC0003F80U);
  CHECK(cuda::bfloat16_pair(1.00390625F, 0.0F) == 0x00003F80U);  // a tie rounds to even
}

TEST_CASE("asynchronous copies are not visible before the wait", "[cuda][tensor][threads]") {
  std::vector<float> numbers(128);
  for (std::size_t i = 0; i < 128; ++i) numbers[i] = static_cast<float>(i) + 1;
  const device_array<float> from(numbers);
  const device_array<float> out(numbers);
  feaug::cuda_context ctx;
  const cuda::operation call(ctx, "test");
  call.launch(copied_before_waiting<float>, 1, 32, 0, from.data(), out.data(), true);
  for (std::size_t i = 0; i < 128; ++i)
    CHECK(out.to_host()[i] == (i / 4 % 2 == 0 ? numbers[i] : 0.0F));
  call.launch(copied_before_waiting<float>, 1, 32, 0, from.data(), out.data(), false);
  for (const float value : out.to_host()) CHECK(std::isnan(value));
  simt::current_settings().copies = simt::copy_time::at_once;
  call.launch(copied_before_waiting<float>, 1, 32, 0, from.data(), out.data(), false);
  CHECK(out.to_host()[1] == 2);
  simt::current_settings() = {};
}

TEST_CASE("tensor-core wrappers reject invalid use", "[cuda][tensor]") {
  const device_array<float> memory(std::vector<float>(8));
  feaug::cuda_context ctx;
  const cuda::operation call(ctx, "test");
  try {
    call.launch(unaligned_copy<float>, 1, 1, 0, memory.data(), memory.data());
    FAIL("an unaligned copy went through");
  } catch (const simt::error& error) {
    CHECK(std::string(error.what()).find("source of a copy is not aligned to 16 bytes") !=
          std::string::npos);
  }
  CHECK_THROWS_AS(call.launch(much_shared_memory<float>, 1, 1, 64 << 10, memory.data()),
                  feaug::cuda_error);
  call.allow_dynamic_shared(much_shared_memory<float>, 64 << 10);
  CHECK_NOTHROW(call.launch(much_shared_memory<float>, 1, 1, 64 << 10, memory.data()));
  CHECK_THROWS_AS(call.allow_dynamic_shared(much_shared_memory<float>, 200 << 10),
                  feaug::cuda_error);
}

TEST_CASE("programs and GPUs without the tensor-core kernels use others", "[cuda][tensor]") {
  struct kind {
    const char* name;
    simt::machine machine;
    index_t most_features;  ///< that tensor-core kernels run for
  };
  const auto of =
      GENERATE(kind{"sm_80", {}, 256}, kind{"nvcc's default architecture", {.ptx_version = 75}, 0},
               kind{"sm_86, sm_89, sm_120", {.dynamic_shared = 99 << 10}, 128},
               kind{"sm_75", {.ptx_version = 75, .dynamic_shared = 64 << 10}, 0});
  INFO(of.name);
  struct on_machine {
    explicit on_machine(const simt::machine& chosen) { simt::current_machine() = chosen; }
    ~on_machine() { simt::current_machine() = {}; }
    on_machine(const on_machine&) = delete;
    on_machine& operator=(const on_machine&) = delete;
  } const during(of.machine);

  for (const index_t cols : {9, 64, 100, 200, 300}) {
    INFO(cols << " features");
    feaug::cuda_context plain;
    feaug::cuda_context fast{.precision = feaug::product_precision::bf16, .tensor_cores = true};
    CHECK(feaug::has_tensor_cores(fast, cols) == (cols <= of.most_features));
    CHECK_FALSE(feaug::has_tensor_cores(plain, cols));
    CHECK_FALSE(feaug::has_tensor_cores(fast, 0));
    CHECK_FALSE(fast.home.has_value());  // a question is no call

    const device_copy<float> x(test_matrix<float>::normal(70, cols, 1));
    const device_copy<float> dx(test_matrix<float>(70, cols));
    const device_array<float> loss({0});
    feaug::info_nce_with_gradients(fast, feaug::differentiable(x.const_view(), dx.view()),
                                   feaug::stop_gradient(x.const_view()),
                                   feaug::device_vector<float>(loss.data(), 1));
    CHECK(std::isfinite(loss.to_host().front()));
    const device_array<index_t> slots(std::vector<index_t>(70));
    for (feaug::cuda_context* ctx : {&plain, &fast}) {
      feaug::nearest(*ctx, x.const_view(), x.const_view(),
                     {.indices = feaug::device_matrix<index_t>(slots.data(), 70, 1)});
      for (index_t i = 0; i < 70; ++i) CHECK(slots.to_host()[static_cast<std::size_t>(i)] == i);
    }
  }
}
#endif

}  // namespace tensor_core_test
