#include "feaug/interop/span.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <type_traits>
#include <vector>

#include "support/message_of.hpp"

namespace span_test {

using feaug::index_t;
using testing::message_of;

TEST_CASE("a span is viewed without a copy", "[span]") {
  std::vector<float> numbers(12);
  const auto matrix = feaug::view(std::span(numbers), 4, 3);
  static_assert(std::is_same_v<decltype(matrix), const feaug::matrix_view<float>>);
  CHECK(matrix.data == numbers.data());
  CHECK(matrix.rows() == 4);
  CHECK(matrix.cols() == 3);
  CHECK(matrix.row_stride() == 3);

  const std::array<double, 6> constants = {};
  const auto constant = feaug::view(std::span(constants), 2, 3);
  static_assert(std::is_same_v<decltype(constant), const feaug::matrix_view<const double>>);
  CHECK(constant.data == constants.data());

  const auto vector = feaug::view(std::span(numbers).subspan(2, 5));
  static_assert(std::is_same_v<decltype(vector), const feaug::vector_view<float>>);
  CHECK(vector.data == numbers.data() + 2);
  CHECK(vector.size() == 5);
}

TEST_CASE("a span of the wrong size is rejected", "[span]") {
  std::vector<float> numbers(12);
  const auto message = [&](index_t rows, index_t cols) {
    return message_of([&] { feaug::view(std::span(numbers), rows, cols); });
  };
  CHECK(message(12, 1).empty());
  CHECK(message(5, 3) == "view: span: got 12 elements, wanted 5 x 3");
  CHECK(message(3, 3) == "view: span: got 12 elements, wanted 3 x 3");
  CHECK(message(5, 2) == "view: span: got 12 elements, wanted 5 x 2");
  CHECK(message(-4, -3) == "view: span: got 12 elements, wanted -4 x -3");
  CHECK(message(0, 12) == "view: span: got 12 elements, wanted 0 x 12");
  // The product is 12 modulo 2⁶⁴.
  CHECK(message((index_t{1} << 62) + 3, 4) ==
        "view: span: got 12 elements, wanted 4611686018427387907 x 4");
  numbers.clear();
  CHECK(message(0, 3).empty());
  CHECK(message(3, 0).empty());
  CHECK(message(1, 1) == "view: span: got 0 elements, wanted 1 x 1");
}

}  // namespace span_test
