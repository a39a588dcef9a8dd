// Tests of half and bfloat16: comparison with Eigen's types for all 65536 values and for the
// numbers between them.
#include "feaug/core/element.hpp"

#include <Eigen/Core>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "feaug/core/operand.hpp"

namespace element_test {

using feaug::load;

namespace {

/// True if both have the same value, or both are NaN.
bool same(float a, float b) {
  return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b) ||
         (std::isnan(a) && std::isnan(b));
}

template <class Ours, class Eigens, class FromBits>
void compare(const FromBits& eigen_of) {
  std::uint32_t wrong = 0;
  for (std::uint32_t bits = 0; bits < 0x10000U; ++bits) {
    const auto short_bits = static_cast<std::uint16_t>(bits);
    const float value = load(Ours{short_bits});
    if (!same(value, static_cast<float>(eigen_of(short_bits)))) ++wrong;
    if (!std::isnan(value) && feaug::store<Ours>(value).bits != short_bits) ++wrong;
    // Below, at and above the midpoint to the next value: tests rounding to nearest even.
    const float next = load(Ours{static_cast<std::uint16_t>(bits + 1)});
    const float middle = value + (next - value) / 2;
    for (const float x : {std::nextafter(middle, 0.0F), middle, std::nextafter(middle, 1e30F)}) {
      if (std::isnan(x)) continue;
      if (!same(load(feaug::store<Ours>(x)), static_cast<float>(static_cast<Eigens>(x)))) ++wrong;
    }
  }
  CHECK(wrong == 0);
  CHECK(std::isnan(load(feaug::store<Ours>(std::numeric_limits<float>::quiet_NaN()))));
}

}  // namespace

TEST_CASE("half is Eigen::half, bit for bit", "[element]") {
  compare<feaug::half, Eigen::half>(
      [](std::uint16_t bits) { return Eigen::half(Eigen::half_impl::raw_uint16_to_half(bits)); });
}

TEST_CASE("bfloat16 is Eigen::bfloat16, bit for bit", "[element]") {
  compare<feaug::bfloat16, Eigen::bfloat16>([](std::uint16_t bits) {
    return Eigen::bfloat16(Eigen::bfloat16_impl::raw_uint16_to_bfloat16(bits));
  });
}

TEST_CASE("views and operands are trivial types, and memory spaces do not convert", "[element]") {
  using feaug::matrix_view;
  using feaug::memory_space;
  static_assert(std::is_trivially_copyable_v<matrix_view<float>>);
  static_assert(std::is_trivially_copyable_v<feaug::operand<float>>);
  static_assert(std::is_convertible_v<matrix_view<float>, matrix_view<const float>>);
  static_assert(!std::is_convertible_v<matrix_view<const float>, matrix_view<float>>);
  static_assert(!std::is_convertible_v<matrix_view<float>, matrix_view<double>>);
  static_assert(
      !std::is_convertible_v<matrix_view<float, memory_space::device>, matrix_view<float>>);
  static_assert(
      !std::is_convertible_v<matrix_view<float>, matrix_view<float, memory_space::device>>);
  static_assert(feaug::element<feaug::half> && !feaug::element<int>);
  float memory[12] = {};
  const matrix_view<float> m(memory, 3, 4);
  CHECK(m.row(2) == memory + 8);
  CHECK(m.rows_from(1, 2).data == memory + 4);
  CHECK((m.rows_from(1, 2).rows() == 2 && matrix_view<float>(nullptr, 0, 4).empty()));
}

}  // namespace element_test
