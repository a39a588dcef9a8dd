// Eigenvalues of symmetric matrices with known spectra, on every instruction set.
#include "feaug/cpu/core/symmetric_eigenvalues.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <numbers>
#include <vector>

#include "support/instruction_sets.hpp"

namespace symmetric_eigenvalues_test {

using feaug::index_t;

namespace {

/// The ascending eigenvalues of a matrix, of which only the lower triangle is given.
std::vector<double> eigenvalues(index_t size, const std::vector<double>& lower_triangle,
                                feaug::instruction_set set) {
  constexpr double unread = 1e6;
  std::vector<double> a(static_cast<std::size_t>(size * size), unread);
  std::size_t next = 0;
  for (index_t i = 0; i < size; ++i) {
    for (index_t j = 0; j <= i; ++j)
      a[static_cast<std::size_t>(i * size + j)] = lower_triangle[next++];
  }
  std::vector<double> values(static_cast<std::size_t>(size));
  std::vector<double> scratch(static_cast<std::size_t>(5 * size));
  feaug::cpu::symmetric_eigenvalues(set, {a.data(), size, size}, values.data(), scratch.data());
  std::sort(values.begin(), values.end());
  return values;
}

/// The lower triangle of a matrix given by its elements.
template <class Element>
std::vector<double> triangle(index_t size, const Element& element) {
  std::vector<double> all;
  for (index_t i = 0; i < size; ++i) {
    for (index_t j = 0; j <= i; ++j) all.push_back(element(i, j));
  }
  return all;
}

void check(const std::vector<double>& got, const std::vector<double>& want) {
  REQUIRE(got.size() == want.size());
  for (std::size_t k = 0; k < got.size(); ++k) CHECK(std::abs(got[k] - want[k]) < 1e-13);
}

}  // namespace

TEST_CASE("eigenvalues of matrices with known spectra", "[eigenvalues]") {
  testing::for_each_instruction_set([](feaug::instruction_set set) {
    check(eigenvalues(1, {0.75}, set), {0.75});
    check(eigenvalues(2, {1, 0.5, 1}, set), {0.5, 1.5});
    check(eigenvalues(3, std::vector<double>(6, 0.0), set), {0, 0, 0});
    for (const index_t size : {3, 8, 17, 40}) {
      CAPTURE(size);
      const auto count = static_cast<std::size_t>(size);
      // Diagonal: already tridiagonal. All rows equal: rank 1. Second differences: tridiagonal.
      std::vector<double> of_diagonal;
      std::vector<double> of_rank_one(count, 0.0);
      std::vector<double> of_differences;
      for (index_t k = 0; k < size; ++k) {
        of_diagonal.push_back(static_cast<double>(k + 1) / static_cast<double>(size));
        const double angle =
            std::numbers::pi * static_cast<double>(k + 1) / static_cast<double>(size + 1);
        of_differences.push_back(0.5 - 0.5 * std::cos(angle));
      }
      of_rank_one.back() = 1;
      check(eigenvalues(size,
                        triangle(size,
                                 [&](index_t i, index_t j) {
                                   return i == j ? of_diagonal[static_cast<std::size_t>(i)] : 0.0;
                                 }),
                        set),
            of_diagonal);
      check(eigenvalues(
                size,
                triangle(size, [&](index_t, index_t) { return 1.0 / static_cast<double>(size); }),
                set),
            of_rank_one);
      check(eigenvalues(size,
                        triangle(size,
                                 [](index_t i, index_t j) {
                                   return i == j ? 0.5 : i == j + 1 ? -0.25 : 0.0;
                                 }),
                        set),
            of_differences);
      // A reflection of a diagonal matrix: full, with the same eigenvalues.
      std::vector<double> u;
      double square = 0;
      for (index_t k = 0; k < size; ++k) {
        u.push_back(std::sin(static_cast<double>(3 * k + 1)));
        square += u.back() * u.back();
      }
      const auto reflection = [&](index_t i, index_t j) {
        return (i == j ? 1.0 : 0.0) -
               2 * u[static_cast<std::size_t>(i)] * u[static_cast<std::size_t>(j)] / square;
      };
      check(eigenvalues(size,
                        triangle(size,
                                 [&](index_t i, index_t j) {
                                   double sum = 0;
                                   for (index_t k = 0; k < size; ++k)
                                     sum += reflection(i, k) *
                                            of_diagonal[static_cast<std::size_t>(k)] *
                                            reflection(k, j);
                                   return sum;
                                 }),
                        set),
            of_diagonal);
    }
  });
}

TEST_CASE("eigenvalues of matrices of equal elements", "[eigenvalues]") {
  testing::for_each_instruction_set([](feaug::instruction_set set) {
    for (index_t size = 1; size <= 150; ++size) {
      CAPTURE(size);
      std::vector<double> want(static_cast<std::size_t>(size), 0.0);
      want.back() = static_cast<double>(size);
      const std::vector<double> got =
          eigenvalues(size, triangle(size, [](index_t, index_t) { return 1.0; }), set);
      double largest_error = 0;
      for (std::size_t k = 0; k < got.size(); ++k)
        largest_error = std::max(largest_error, std::abs(got[k] - want[k]));
      CHECK(largest_error < 1e-12);
    }
  });
}

TEST_CASE("rows that are tiny beside the largest element change nothing", "[eigenvalues]") {
  testing::for_each_instruction_set([](feaug::instruction_set set) {
    for (const double tiny : {1e-20, 1e-42, 1e-80, 1e-155, 1e-300}) {
      for (const index_t large : {0, 3, 6}) {
        CAPTURE(tiny, large);
        const auto element = [&](index_t i, index_t j) {
          const auto scale = [&](index_t k) { return k == large ? 1.0 : tiny; };
          return scale(i) * scale(j) * (i == j ? 1.0 : 0.5);
        };
        check(eigenvalues(7, triangle(7, element), set), {0, 0, 0, 0, 0, 0, 1});
      }
    }
  });
}

}  // namespace symmetric_eigenvalues_test
