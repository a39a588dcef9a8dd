// Losses on every instruction set, with a fixed and with a running shift, few rows and many:
// against double, and the same bits for any number of threads.
#include <catch2/catch.hpp>
#include <vector>

#include "feaug/cpu/loss/info_nce.hpp"
#include "feaug/cpu/loss/nt_xent.hpp"
#include "feaug/cpu/loss/symmetric_info_nce.hpp"
#include "support/instruction_sets.hpp"
#include "support/test_matrix.hpp"

namespace instructions_test {

using feaug::index_t;
using feaug::instruction_set;
using testing::for_each_instruction_set;
using testing::test_matrix;

namespace {

struct result {
  double loss;
  std::vector<double> first;
  std::vector<double> second;

  friend bool operator==(const result&, const result&) = default;
};

/// What `loss(ctx, operand, operand)` gives for the rows of a and b, gradients strided.
template <class T, class Loss>
result run(const test_matrix<float>& a, const test_matrix<float>& b, instruction_set set,
           int threads, const Loss& loss) {
  test_matrix<T> x(a.rows(), a.cols(), 3);
  test_matrix<T> y(b.rows(), b.cols(), 1);
  for (index_t i = 0; i < a.rows(); ++i) {
    for (index_t j = 0; j < a.cols(); ++j) x.set(i, j, a.get(i, j));
  }
  for (index_t i = 0; i < b.rows(); ++i) {
    for (index_t j = 0; j < b.cols(); ++j) y.set(i, j, b.get(i, j));
  }
  test_matrix<T> dx(a.rows(), a.cols(), 2);
  test_matrix<T> dy(b.rows(), b.cols(), 5);
  feaug::cpu_context ctx{.threads = threads, .instructions = set};
  const auto value = static_cast<double>(loss(ctx, feaug::differentiable(x.view(), dx.view()),
                                              feaug::differentiable(y.view(), dy.view())));
  CHECK(dx.padding_intact());
  CHECK(dy.padding_intact());
  return {value, dx.values(), dy.values()};
}

template <class Loss>
void compare(index_t rows, index_t columns, index_t cols, const Loss& loss) {
  CAPTURE(rows, columns, cols);
  auto a = test_matrix<float>::normal(rows, cols, 1);
  const auto b = test_matrix<float>::normal(columns, cols, 2);
  if (rows > 4) a.fill_row(3, 0);
  const result want = run<double>(a, b, instruction_set::portable, 1, loss);
  for_each_instruction_set([&](instruction_set set) {
    const result got = run<float>(a, b, set, 1, loss);
    CHECK(got.loss == Approx(want.loss).epsilon(2e-6));
    CHECK(testing::relative_error(got.first, want.first, 1e-7) < 1e-5);
    CHECK(testing::relative_error(got.second, want.second, 1e-7) < 1e-5);
    CHECK(run<float>(a, b, set, 2, loss) == got);
    CHECK(run<float>(a, b, set, 5, loss) == got);
    CHECK(testing::relative_error(run<double>(a, b, set, 3, loss).first, want.first) < 1e-12);
  });
}

}  // namespace

TEST_CASE("info_nce on every instruction set", "[loss]") {
  for (const double temperature : {0.1, 0.02}) {
    const auto loss = [temperature](auto& ctx, const auto& a, const auto& b) {
      return feaug::info_nce_with_gradients(ctx, a, b, {.temperature = temperature});
    };
    compare(1, 1, 5, loss);
    compare(37, 41, 19, loss);
    compare(3, 5000, 7, loss);
    compare(300, 530, 40, loss);
  }
}

TEST_CASE("info_nce against stopped keys: few queries, many keys", "[loss]") {
  // Columns are cut into parts here, whose number follows from the shape.
  const auto a = test_matrix<float>::normal(5, 24, 1);
  const auto b = test_matrix<float>::normal(20000, 24, 2);
  const auto loss = [](auto& ctx, const auto& x, const auto& y) {
    return feaug::info_nce_with_gradients(ctx, x, feaug::stop_gradient(y.value),
                                          {.temperature = 0.1});
  };
  const result want = run<double>(a, b, instruction_set::portable, 1, loss);
  for_each_instruction_set([&](instruction_set set) {
    const result got = run<float>(a, b, set, 1, loss);
    CHECK(got.loss == Approx(want.loss).epsilon(2e-6));
    CHECK(testing::relative_error(got.first, want.first, 1e-7) < 1e-5);
    CHECK(run<float>(a, b, set, 7, loss) == got);
  });
}

TEST_CASE("nt_xent on every instruction set", "[loss]") {
  for (const double temperature : {0.1, 0.02}) {
    for (const bool decoupled : {false, true}) {
      const auto loss = [temperature, decoupled](auto& ctx, const auto& a, const auto& b) {
        return feaug::nt_xent_with_gradients(ctx, a, b,
                                             {.temperature = temperature, .decoupled = decoupled});
      };
      compare(2, 2, 5, loss);
      compare(41, 41, 19, loss);
      compare(330, 330, 33, loss);
    }
  }
}

TEST_CASE("symmetric_info_nce on every instruction set", "[loss]") {
  for (const double temperature : {0.1, 0.02}) {
    const auto loss = [temperature](auto& ctx, const auto& a, const auto& b) {
      return feaug::symmetric_info_nce_with_gradients(ctx, a, b, {.temperature = temperature});
    };
    compare(1, 1, 5, loss);
    compare(41, 41, 19, loss);
    compare(1100, 1100, 33, loss);  // blocks that meet several at once
  }
}

TEST_CASE("a view that adds to its gradient gets what one that overwrites it gets", "[loss]") {
  const auto a = test_matrix<float>::normal(50, 20, 1);
  const auto b = test_matrix<float>::normal(50, 20, 2);
  const auto plain = [](auto& ctx, const auto& x, const auto& y) {
    return feaug::nt_xent_with_gradients(ctx, x, y, {.temperature = 0.1});
  };
  const auto adding = [&plain](auto& ctx, const auto& x, const auto& y) {
    return plain(ctx, feaug::accumulate(x.value, x.gradient), y);
  };
  const auto half = [&plain](auto& ctx, const auto& x, const auto& y) {
    return plain(ctx, x, feaug::stop_gradient(y.value));
  };
  const result want = run<float>(a, b, instruction_set::avx512, 2, plain);
  const result added = run<float>(a, b, instruction_set::avx512, 2, adding);
  CHECK(testing::relative_error(added.first, want.first) < 1e-6);
  CHECK(testing::relative_error(added.second, want.second) < 1e-6);
  CHECK(testing::relative_error(run<float>(a, b, instruction_set::avx512, 2, half).first,
                                want.first) < 1e-6);
}

}  // namespace instructions_test
