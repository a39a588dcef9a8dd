// Large outputs, written with non-temporal stores, have the same values as small ones.
#include "feaug/cpu/core/non_temporal.hpp"

#include <catch2/catch.hpp>
#include <vector>

#include "feaug/feaug.hpp"
#include "support/sanitizer.hpp"

namespace non_temporal_test {

using feaug::cpu_context;
using feaug::index_t;
using feaug::matrix_view;
using feaug::random_key;

namespace {

constexpr random_key key{.seed = 31, .step = 2};

/// A policy defined by a user.
struct halve_some {
  static constexpr std::string_view name = "halve_some";
  using draw = feaug::uniform_draw;
  template <class C>
  C forward(C x, draw d) const {
    return d.value < 0.25F ? x / 2 : x;
  }
  template <class C>
  C backward(C g, C /*x*/, draw d) const {
    return d.value < 0.25F ? g / 2 : g;
  }
};

/// A matrix whose rows start at any offset within a cache line, just large enough for non-temporal
/// stores.
template <class T>
struct large {
  static constexpr index_t cols = 1031;
  static constexpr index_t stride = 1036;
  static constexpr index_t rows =
      static_cast<index_t>(feaug::cpu::streamed_bytes / sizeof(T)) / cols + 1;

  explicit large(float slope) : storage(static_cast<std::size_t>(rows * stride)) {
    for (std::size_t i = 0; i < storage.size(); ++i) {
      storage[i] = feaug::store<T>(
          static_cast<feaug::compute_t<T>>(slope * static_cast<float>(i % 97) - 1.0F));
    }
  }
  matrix_view<T> view() { return {storage.data() + 1, rows, cols, stride}; }

  std::vector<T> storage;
};

/// The matrix must equal the results of `part`, called for ten rows at a time, including the memory
/// between the rows.
template <class T, class Part>
void check_parts(large<T>& whole, const Part& part) {
  if (testing::is_sanitized) return;
  large<T> pieces(0.0F);
  for (index_t begin = 0; begin < large<T>::rows; begin += 10) {
    random_key here = key;
    here.row_offset = begin;
    const index_t count = std::min<index_t>(10, large<T>::rows - begin);
    part(begin, count, here, pieces.view().rows_from(begin, count));
  }
  const bool same = whole.storage == pieces.storage;
  CHECK(same);
}

}  // namespace

TEMPLATE_TEST_CASE("large outputs have the same rows as small ones", "[augment]", float, double,
                   feaug::half) {
  cpu_context ctx{.threads = 2};
  large<TestType> x(0.01F);
  const auto check = [&](const auto& policy) {
    large<TestType> out(0.0F);
#if defined(__x86_64__)  // others have no such stores
    REQUIRE(feaug::cpu::worth_non_temporal(out.view(), x.view()));
#endif
    feaug::augment(ctx, policy, x.view(), key, out.view());
    check_parts(out, [&](index_t begin, index_t count, const random_key& here,
                         const matrix_view<TestType>& to) {
      feaug::augment(ctx, policy, x.view().rows_from(begin, count), here, to);
    });
    large<TestType> gradient(0.0F);
    feaug::augment_backward(ctx, policy, differentiable(x.view(), gradient.view()), key, x.view());
    check_parts(gradient, [&](index_t begin, index_t count, const random_key& here,
                              const matrix_view<TestType>& to) {
      const auto part = x.view().rows_from(begin, count);
      feaug::augment_backward(ctx, policy, differentiable(part, to), here, part);
    });
  };
  check(halve_some{});
  if (!testing::is_sanitized) {  // the others write their rows with the same functions
    check(feaug::mask{});
    check(feaug::mask{.rescale = feaug::rescale::row});
    check(feaug::gaussian_noise{});
    check(feaug::uniform_noise{});
  }
  // In chunks, a mix would have other partners. x mixed with itself must equal x.
  large<TestType> mixed(0.0F);
  const feaug::interpolate half_way{.weight = 0.5F};
  feaug::augment(ctx, feaug::with_partner(half_way, x.view()), x.view(), key, mixed.view());
  large<TestType> copied(0.0F);
  feaug::augment(ctx, feaug::identity{}, x.view(), key, copied.view());
  CHECK(mixed.storage == copied.storage);
}

}  // namespace non_temporal_test
