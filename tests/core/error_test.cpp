// Tests of the argument checks that all operators use: the exact text of every error message.
#include "feaug/core/error.hpp"

#include <catch2/catch.hpp>
#include <cstdint>
#include <limits>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "feaug/core/random.hpp"
#include "support/message_of.hpp"

namespace error_test {

namespace check = feaug::check;
using feaug::index_t;
using feaug::matrix_view;
using feaug::vector_view;
using testing::message_of;

namespace {

const double not_a_number = std::numeric_limits<double>::quiet_NaN();
const double infinity = std::numeric_limits<double>::infinity();

/// 100 numbers, the memory of the views in the tests.
struct memory {
  std::vector<float> numbers = std::vector<float>(100);
  matrix_view<float> at(index_t offset, index_t rows, index_t cols, index_t row_stride) {
    return {numbers.data() + offset, rows, cols, row_stride};
  }
};

std::string readable(const matrix_view<const float>& view) {
  return message_of([&] { check::readable("op", "x", view); });
}
std::string writable(const matrix_view<float>& view) {
  return message_of([&] { check::writable("op", "out", view); });
}
std::string usable(const feaug::random_key& key, index_t rows = 4, index_t columns = 5,
                   int streams = 2) {
  return message_of([&] { check::usable("op", key, rows, columns, streams); });
}

}  // namespace

TEST_CASE("a failed check throws invalid_argument", "[error]") {
  CHECK_THROWS_AS(check::fail("op", "x", "this", "that"), std::invalid_argument);
  CHECK(message_of([] { check::fail("op", "x", "this", "that"); }) ==
        "op: x: got this, wanted that");
}

TEST_CASE("a matrix that cannot be read", "[error]") {
  memory m;
  CHECK(readable(m.at(0, 3, 4, 4)).empty());
  CHECK(readable(m.at(0, 3, 4, 0)).empty());
  CHECK(readable({nullptr, 0, 4}).empty());
  CHECK(readable({nullptr, 4, 0}).empty());
  CHECK(readable(m.at(0, -3, 4, 4)) == "op: x: got shape (-3, 4), wanted extents of at least 0");
  CHECK(readable({nullptr, 3, 4}) ==
        "op: x: got a null pointer with shape (3, 4), wanted a pointer to its elements");
  CHECK(readable(m.at(0, 3, 4, 2)) ==
        "op: x: got row stride 2, wanted 0 or at least 4 (its columns)");
  CHECK(readable(m.at(50, 3, 4, -4)) ==
        "op: x: got row stride -4, wanted 0 or at least 4 (its columns)");
  auto columns = m.at(0, 3, 4, 1);
  columns.strides[1] = 3;
  CHECK(readable(columns) ==
        "op: x: got stride 3 along the features, wanted stride 1 (contiguous features)");
}

TEST_CASE("a matrix that cannot be written", "[error]") {
  memory m;
  CHECK(writable(m.at(0, 3, 4, 6)).empty());
  CHECK(writable(m.at(0, 1, 4, 0)).empty());
  CHECK(writable(m.at(0, 3, 4, 0)) ==
        "op: out: got row stride 0, wanted at least 4 (its columns), since it is written");
  CHECK(writable({nullptr, 3, 4}) ==
        "op: out: got a null pointer with shape (3, 4), wanted a pointer to its elements");
}

TEST_CASE("a vector that cannot be read or written", "[error]") {
  std::vector<float> numbers(9);
  const auto read = [](const vector_view<const float>& view) {
    return message_of([&] { check::readable("op", "ids", view); });
  };
  const auto written = [](const vector_view<float>& view) {
    return message_of([&] { check::writable("op", "loss", view); });
  };
  vector_view<float> repeated(numbers.data(), 3);
  repeated.strides[0] = 0;
  CHECK(read({numbers.data(), 9}).empty());
  CHECK(read({}).empty());
  CHECK(read(repeated).empty());
  CHECK(read({numbers.data(), -1}) == "op: ids: got shape (-1), wanted extents of at least 0");
  CHECK(read({nullptr, 3}) ==
        "op: ids: got a null pointer with shape (3), wanted a pointer to its elements");
  CHECK(written({numbers.data(), 9}).empty());
  CHECK(written(repeated) ==
        "op: loss: got stride 0, wanted distinct elements, since it is written");
}

TEST_CASE("shapes that do not fit", "[error]") {
  memory m;
  const auto matrix = m.at(0, 3, 4, 4);
  const vector_view<float> vector(m.numbers.data(), 3);
  CHECK(message_of([&] { check::has_shape("op", "out", matrix, 3, 4, "x"); }).empty());
  CHECK(message_of([&] { check::has_shape("op", "out", matrix, 4, 3, "x"); }) ==
        "op: out: got shape (3, 4), wanted shape (4, 3) as x");
  CHECK(message_of([&] { check::has_size("op", "loss", vector, 3, "one a row"); }).empty());
  CHECK(message_of([&] { check::has_size("op", "loss", vector, 1, "a scalar"); }) ==
        "op: loss: got 3 elements, wanted 1 (a scalar)");
  CHECK(message_of([&] { check::has_columns("op", "keys", matrix, 4, "queries"); }).empty());
  CHECK(message_of([&] { check::has_columns("op", "keys", matrix, 5, "queries"); }) ==
        "op: keys: got 4 columns, wanted 5 as queries");
  CHECK(message_of([&] { check::not_empty("op", "x", matrix); }).empty());
  CHECK(message_of([&] { check::not_empty("op", "x", m.at(0, 0, 4, 4)); }) ==
        "op: x: got shape (0, 4), wanted at least one row and one column");
  CHECK(message_of([&] { check::not_empty("op", "x", m.at(0, 3, 0, 4)); }) ==
        "op: x: got shape (3, 0), wanted at least one row and one column");
}

TEST_CASE("numbers out of range", "[error]") {
  const auto positive = [](double value) {
    return message_of([&] { check::positive("op", "temperature", value); });
  };
  CHECK(positive(1e-3).empty());
  CHECK(positive(0) == "op: temperature: got 0, wanted a finite number above 0");
  CHECK(positive(-0.5) == "op: temperature: got -0.5, wanted a finite number above 0");
  CHECK(positive(not_a_number) == "op: temperature: got nan, wanted a finite number above 0");
  CHECK(positive(infinity) == "op: temperature: got inf, wanted a finite number above 0");
  const auto finite = [](double value) {
    return message_of([&] { check::finite("op", "scale", value); });
  };
  CHECK(finite(-3).empty());
  CHECK(finite(not_a_number) == "op: scale: got nan, wanted a finite number");
  CHECK(finite(-infinity) == "op: scale: got -inf, wanted a finite number");
  const auto share = [](double value) {
    return message_of([&] { check::within("op", "probability", value, 0.0, 1.0); });
  };
  CHECK((share(0).empty() && share(1).empty()));
  CHECK(share(1.5) == "op: probability: got 1.5, wanted a number from 0 to 1");
  CHECK(share(not_a_number) == "op: probability: got nan, wanted a number from 0 to 1");
  const auto k = [](index_t value) {
    return message_of([&] { check::within("op", "k", value, 1, 4); });
  };
  CHECK((k(1).empty() && k(4).empty()));
  CHECK(k(0) == "op: k: got 0, wanted a number from 1 to 4");
  CHECK(k(5) == "op: k: got 5, wanted a number from 1 to 4");
}

TEST_CASE("overlaps", "[error]") {
  memory m;
  const auto apart = [&](const matrix_view<float>& out, const matrix_view<float>& in) {
    const std::string one_way = message_of([&] { check::apart("op", "out", out, "x", in); });
    CHECK(one_way == message_of([&] { check::apart("op", "out", in, "x", out); }));
    return one_way;
  };
  const std::string overlaps = "op: out: got memory that overlaps x, wanted memory of its own";
  const auto block = m.at(20, 4, 3, 10);
  CHECK(apart(block, block) == overlaps);
  CHECK(apart(block, m.at(22, 4, 3, 10)) == overlaps);  // starts in its last column
  CHECK(apart(block, m.at(18, 4, 3, 10)) == overlaps);  // ends in its first column
  CHECK(apart(block, m.at(29, 2, 2, 10)) == overlaps);  // wraps from one row into the next
  CHECK(apart(block, m.at(0, 3, 3, 10)) == overlaps);   // reaches its first row
  CHECK(apart(block, m.at(23, 4, 7, 10)).empty());      // between its rows
  CHECK(apart(block, m.at(53, 2, 3, 3)).empty());       // after its last row
  CHECK(apart(block, m.at(0, 2, 10, 10)).empty());      // before its first row
  CHECK(apart(block, m.at(20, 0, 3, 10)).empty());      // an empty view
  CHECK(apart(block, m.at(23, 5, 2, 4)) == overlaps);   // other row stride: reported
  CHECK(apart(block, m.at(52, 30, 1, 0)) == overlaps);  // row stride 0
  CHECK(apart(block, m.at(24, 1, 6, 6)).empty());       // a run in a gap
  CHECK(apart(block, m.at(24, 2, 3, 3)).empty());       // two rows without gaps in a gap
  CHECK(apart(block, m.at(24, 1, 7, 7)) == overlaps);   // a run from a gap into the next row
  CHECK(apart(block, m.at(14, 1, 6, 6)).empty());       // a run that ends before its first row
  CHECK(apart(block, m.at(14, 1, 7, 7)) == overlaps);   // … in its first row

  const vector_view<float> vector(m.numbers.data() + 20, 4);
  const vector_view<float> next(m.numbers.data() + 24, 4);
  CHECK(message_of([&] { check::apart("op", "statistics", vector, "loss", next); }).empty());
  CHECK(message_of([&] { check::apart("op", "statistics", vector, "loss", vector); }) ==
        "op: statistics: got memory that overlaps loss, wanted memory of its own");
  vector_view<float> backwards(m.numbers.data() + 27, 4);
  backwards.strides[0] = -1;
  CHECK(message_of([&] { check::apart("op", "statistics", vector, "loss", backwards); }).empty());
  backwards.data = m.numbers.data() + 26;  // its last element is in `vector`
  const auto overlap = [](const vector_view<float>& one, const vector_view<float>& other) {
    return message_of([&] { check::apart("op", "statistics", one, "loss", other); });
  };
  CHECK(overlap(vector, backwards) ==
        "op: statistics: got memory that overlaps loss, wanted memory of its own");
  CHECK(overlap(backwards, vector) == overlap(vector, backwards));

  const auto same = [&](const matrix_view<float>& out, const matrix_view<float>& in) {
    return message_of([&] { check::apart_or_same("op", "out", out, "x", in); });
  };
  CHECK(same(block, block).empty());
  CHECK(same(block, m.at(60, 4, 3, 10)).empty());
  CHECK(same(m.at(20, 1, 3, 10), m.at(20, 1, 3, 3)).empty());
  const std::string partly =
      "op: out: got memory that partly overlaps x, wanted the same view or memory of its own";
  CHECK(same(block, m.at(30, 4, 3, 10)) == partly);
  CHECK(same(block, m.at(20, 4, 3, 9)) == partly);
}

TEST_CASE("operands that are not valid", "[error]") {
  memory m;
  const auto x = m.at(0, 3, 4, 4);
  const auto valid = [&](const matrix_view<float>& gradient) {
    return message_of([&] { check::valid("op", "z", feaug::differentiable(x, gradient)); });
  };
  CHECK(valid(m.at(50, 3, 4, 4)).empty());
  CHECK(message_of([&] { check::valid("op", "z", feaug::stop_gradient(x)); }).empty());
  CHECK(valid(m.at(50, 3, 3, 4)) ==
        "op: gradient of z: got shape (3, 3), wanted shape (3, 4) as z");
  CHECK(valid(x) == "op: gradient of z: got memory that overlaps z, wanted memory of its own");
  CHECK(valid({nullptr, 3, 4}) ==
        "op: gradient of z: got a null pointer with shape (3, 4), wanted a pointer to its "
        "elements");
  CHECK(valid(m.at(50, 3, 4, 0)) ==
        "op: gradient of z: got row stride 0, wanted at least 4 (its columns), since it is "
        "written");
  std::vector<float> two(2);
  float one = 1;
  CHECK(message_of([&] {
          check::valid(
              "op", "tau",
              feaug::differentiable(feaug::scalar(one), vector_view<float>(two.data(), 2)));
        }) == "op: gradient of tau: got 2 elements, wanted 1 (tau)");

  const auto a = feaug::differentiable(x, m.at(20, 3, 4, 4));
  const auto pair = [&](const feaug::operand<float>& b) {
    return message_of([&] { check::apart("op", "a", a, "b", b); });
  };
  CHECK(pair(feaug::stop_gradient(x)).empty());
  CHECK(pair(feaug::differentiable(x, m.at(40, 3, 4, 4))).empty());
  CHECK(pair(feaug::stop_gradient(m.at(30, 3, 4, 4))) ==
        "op: gradient of a: got memory that overlaps b, wanted memory of its own");
  CHECK(pair(feaug::differentiable(m.at(60, 3, 4, 4), x)) ==
        "op: gradient of b: got memory that overlaps a, wanted memory of its own");
  CHECK(pair(feaug::differentiable(m.at(60, 3, 4, 4), m.at(31, 3, 4, 4))) ==
        "op: gradient of a: got memory that overlaps gradient of b, wanted memory of its own");
}

TEST_CASE("keys that cannot be drawn from", "[error]") {
  CHECK(usable({.step = 0xFFFFFFFFU, .stream = 0xFFFE, .row_offset = (index_t{1} << 48) - 4})
            .empty());
  CHECK(usable({.step = 1ULL << 32U}) ==
        "op: random_key.step: got 4294967296, wanted a number below 2^32");
  CHECK(usable({.stream = 0xFFFF}) ==
        "op: random_key.stream: got 65535 with 2 streams needed, wanted streams below 2^16");
  CHECK(usable({.row_offset = -1}) ==
        "op: random_key.row_offset: got -1, wanted rows numbered from 0 to 2^48 - 1");
  CHECK(usable({.row_offset = (index_t{1} << 48) - 3}) ==
        "op: random_key.row_offset: got 281474976710653, wanted rows numbered from 0 to 2^48 - 1");
  CHECK(usable({}, 1, (index_t{1} << 34) + 1) ==
        "op: x: got 17179869185 columns, wanted at most 2^34, since they are drawn for");
  const std::uint64_t counter = 0;
  CHECK(usable({.device_step = &counter}) ==
        "op: random_key.device_step: got a pointer, wanted null, since this runs on the CPU");
}

}  // namespace error_test
