#include "feaug/interop/mdspan.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <cstddef>
#include <type_traits>
#include <vector>
#include <version>
#ifdef __cpp_lib_mdspan
#include <mdspan>
#endif

#include "support/message_of.hpp"

namespace mdspan_test {

using testing::message_of;

namespace {

/// A minimal mdspan with only the members that all implementations have, which the adapter may use.
template <class T, std::size_t Rank, bool Strided = true>
class small_mdspan {
 public:
  using element_type = T;

  small_mdspan(T* data, std::array<int, Rank> extents, std::array<int, Rank> strides)
      : data_(data), extents_(extents), strides_(strides) {}

  static constexpr std::size_t rank() noexcept { return Rank; }
  static constexpr bool is_always_strided() noexcept { return Strided; }
  [[nodiscard]] T* data_handle() const { return data_; }
  [[nodiscard]] int extent(std::size_t axis) const { return extents_[axis]; }
  [[nodiscard]] int stride(std::size_t axis) const { return strides_[axis]; }

 private:
  T* data_;
  std::array<int, Rank> extents_;
  std::array<int, Rank> strides_;
};

}  // namespace

TEST_CASE("an mdspan is viewed without a copy", "[mdspan]") {
  std::vector<float> memory(20);
  const auto matrix = feaug::view(small_mdspan<float, 2>(memory.data() + 1, {3, 4}, {5, 1}));
  static_assert(std::is_same_v<decltype(matrix), const feaug::matrix_view<float>>);
  CHECK(&matrix(2, 3) == memory.data() + 1 + 13);
  CHECK(matrix.rows() == 3);
  CHECK(matrix.cols() == 4);

  const auto vector = feaug::view(small_mdspan<const float, 1>(memory.data(), {6}, {3}));
  static_assert(std::is_same_v<decltype(vector), const feaug::vector_view<const float>>);
  CHECK(&vector[5] == memory.data() + 15);
  CHECK(vector.size() == 6);

  using feaug::memory_space;
  const small_mdspan<float, 2> on_device(memory.data(), {3, 4}, {4, 1});
  static_assert(std::is_same_v<decltype(feaug::view<memory_space::device>(on_device)),
                               feaug::matrix_view<float, memory_space::device>>);
}

TEST_CASE("a column-major mdspan is rejected", "[mdspan]") {
  std::vector<float> memory(12);
  const small_mdspan<float, 2> columns(memory.data(), {3, 4}, {1, 3});
  CHECK(message_of([&] { feaug::view(columns); }) ==
        "view: mdspan: got stride 3 along the features, wanted stride 1 (contiguous features)");
}

TEST_CASE("only strided mdspans satisfy strided_mdspan", "[mdspan]") {
  STATIC_REQUIRE(feaug::strided_mdspan<small_mdspan<double, 2>>);
  STATIC_REQUIRE_FALSE(feaug::strided_mdspan<small_mdspan<double, 2, false>>);
  STATIC_REQUIRE_FALSE(feaug::strided_mdspan<std::vector<double>>);
  STATIC_REQUIRE_FALSE(feaug::strided_mdspan<feaug::matrix_view<double>>);
}

#ifdef __cpp_lib_mdspan
TEST_CASE("std::mdspan", "[mdspan]") {
  std::vector<float> memory(12);
  const std::mdspan rows(memory.data(), 3, 4);
  CHECK(&feaug::view(rows)(2, 3) == &memory[11]);
  const std::mdspan<float, std::dextents<int, 2>, std::layout_left> columns(memory.data(), 3, 4);
  CHECK(message_of([&] { feaug::view(columns); }) ==
        "view: mdspan: got stride 3 along the features, wanted stride 1 (contiguous features)");
}
#endif

}  // namespace mdspan_test
