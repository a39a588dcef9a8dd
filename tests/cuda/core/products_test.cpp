#include "feaug/cuda/core/products.cuh"

#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"

namespace products_test {

using device_test::device_copy;
using feaug::index_t;
using testing::test_matrix;

TEMPLATE_TEST_CASE("products of all shapes", "[cuda][products][threads]", double, float) {
  using T = TestType;
  struct shape {
    index_t rows, inner, columns;
  };
  for (const shape& s : {shape{1, 1, 1}, shape{70, 33, 5}, shape{3, 100, 130}, shape{64, 16, 64}}) {
    for (const bool transposed : {false, true}) {
      for (const bool adds : {false, true}) {
        CAPTURE(s.rows, s.inner, s.columns, transposed, adds);
        const auto a = test_matrix<T>::normal(s.rows, s.inner, 1, 2);
        const auto b = transposed ? test_matrix<T>::normal(s.columns, s.inner, 2, 1)
                                  : test_matrix<T>::normal(s.inner, s.columns, 2, 1);
        auto want = test_matrix<T>::normal(s.rows, s.columns, 3, 3);
        const device_copy<T> got(want);
        const device_copy<T> device_a(a);
        const device_copy<T> device_b(b);
        feaug::cuda_context ctx;
        feaug::cuda::operation call(ctx, "product");
        feaug::cuda::multiply<T>(call, feaug::cuda::take_product_scratch(call),
                                 {.rows = s.rows,
                                  .inner = s.inner,
                                  .columns = s.columns,
                                  .a = device_a.view().data,
                                  .a_stride = a.row_stride(),
                                  .b = device_b.view().data,
                                  .b_stride = b.row_stride(),
                                  .b_transposed = transposed,
                                  .c = got.view().data,
                                  .c_stride = want.row_stride(),
                                  .adds = adds});
        for (index_t i = 0; i < s.rows; ++i) {
          for (index_t j = 0; j < s.columns; ++j) {
            double sum = adds ? want.get(i, j) : 0;
            for (index_t d = 0; d < s.inner; ++d)
              sum += a.get(i, d) * (transposed ? b.get(j, d) : b.get(d, j));
            want.set(i, j, sum);
          }
        }
        CHECK(got.host().padding_intact());
        CHECK(testing::relative_error(got.host().values(), want.values()) <=
              testing::tolerance<T>());
      }
    }
  }
}

TEST_CASE("precision is reduced only if requested", "[cuda][products]") {
  // 1 + 2⁻¹² needs 12 mantissa bits. float has more; tf32 has 10, bf16 has 7.
  test_matrix<float> x(1, 1);
  x.set(0, 0, 1 + 0x1p-12);
  test_matrix<float> ten_bits(1, 1);
  ten_bits.set(0, 0, 1 + 0x1p-9);
  const auto squared = [](const test_matrix<float>& of, feaug::product_precision precision) {
    const device_copy<float> a(of);
    const device_copy<float> c(of);
    feaug::cuda_context ctx{.precision = precision};
    feaug::cuda::operation call(ctx, "product");
    feaug::cuda::multiply<float>(call, feaug::cuda::take_product_scratch(call),
                                 {.rows = 1,
                                  .inner = 1,
                                  .columns = 1,
                                  .a = a.view().data,
                                  .a_stride = 1,
                                  .b = a.view().data,
                                  .b_stride = 1,
                                  .b_transposed = true,
                                  .c = c.view().data,
                                  .c_stride = 1});
    return c.host().get(0, 0);
  };
  using enum feaug::product_precision;
  CHECK(squared(x, fp32) == Approx(1 + 0x1p-11).epsilon(1e-7));
#if defined(FEAUG_HAS_CUBLAS)
  // cuBLAS may round the operands, but need not.
  CHECK(squared(x, tf32) == Approx(1 + 0x1p-11).epsilon(0x1p-10));
  CHECK(squared(x, bf16) == Approx(1 + 0x1p-11).epsilon(0x1p-7));
  CHECK(squared(ten_bits, tf32) == Approx(1 + 0x1p-8).epsilon(0x1p-10));
  CHECK(squared(ten_bits, bf16) == Approx(1 + 0x1p-8).epsilon(0x1p-7));
#else
  CHECK(squared(x, tf32) == 1.0);
  CHECK(squared(x, bf16) == 1.0);
  CHECK(squared(ten_bits, tf32) == Approx(1 + 0x1p-8).epsilon(1e-5));
  CHECK(squared(ten_bits, bf16) == 1.0);
#endif
}

}  // namespace products_test
