// one_of selects one augmentation per row: by drawing, by an earlier draw, or by the caller's
// choice.
#include "feaug/augment/one_of.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "feaug/feaug.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace one_of_test {

using feaug::cpu_context;
using feaug::index_t;
using feaug::random_key;
using testing::message_of;
using testing::test_matrix;

namespace {

constexpr random_key key{.seed = 11, .step = 5, .stream = 2, .row_offset = 3};

/// The choice per row, with a stride of two.
struct choice_of {
  std::vector<index_t> numbers;

  explicit choice_of(index_t rows) : numbers(static_cast<std::size_t>(2 * rows), -5) {}
  feaug::vector_view<index_t> view() {
    feaug::vector_view<index_t> all(numbers.data(), static_cast<index_t>(numbers.size() / 2));
    all.strides[0] = 2;
    return all;
  }
  index_t operator[](index_t row) const { return numbers[static_cast<std::size_t>(2 * row)]; }
};

template <class T, class Policy>
std::vector<double> augmented(const Policy& policy, const test_matrix<T>& x) {
  cpu_context ctx{.threads = 2};
  test_matrix<T> out(x.rows(), x.cols(), 3);
  feaug::augment(ctx, policy, x.view(), key, out.view());
  CHECK(out.padding_intact());
  return out.values();
}

template <class T, class Policy>
std::vector<double> gradient_of(const Policy& policy, const test_matrix<T>& x) {
  cpu_context ctx{.threads = 2};
  const auto g = test_matrix<T>::normal(x.rows(), x.cols(), 8);
  test_matrix<T> d(x.rows(), x.cols(), 1);
  d.fill(std::numeric_limits<double>::quiet_NaN());
  feaug::augment_backward(ctx, policy, feaug::differentiable(x.view(), d.view()), key, g.view());
  return d.values();
}

}  // namespace

TEMPLATE_TEST_CASE("one_of equals one_of_from with its draw", "[one_of]", double, float,
                   feaug::half, feaug::bfloat16) {
  const auto x = test_matrix<TestType>::normal(40, 9, 3, 2);
  cpu_context ctx{.threads = 2};
  choice_of choice(40);
  const auto check = [&](const auto& by_draw, const auto& given) {
    CHECK(augmented(given, x) == augmented(by_draw, x));
    CHECK(gradient_of(given, x) == gradient_of(by_draw, x));
  };
  // Parts that draw use the same streams in both.
  const feaug::mask half_kept{.keep_probability = 0.5F};
  const feaug::gaussian_noise noise{.scale = 0.3F};
  const auto of_three = feaug::one_of({0.2F, 0.5F, 0.3F}, half_kept, feaug::identity{}, noise);
  feaug::draw(ctx, of_three, key, choice.view());
  check(of_three, feaug::one_of_from(choice.view(), half_kept, feaug::identity{}, noise));
  // A part that mixes rows, and a nested one_of.
  const auto inner = feaug::one_of({0.5F, 0.5F}, noise, feaug::interpolate{.weight = 0.25F});
  const auto nested = feaug::one_of({0.6F, 0.4F}, inner, half_kept);
  feaug::draw(ctx, nested, key, choice.view());
  check(nested, feaug::one_of_from(choice.view(), inner, half_kept));
}

TEST_CASE("a given choice within a drawn one applies only to rows selected by both", "[one_of]") {
  const auto x = test_matrix<float>::normal(30, 4, 3);
  cpu_context ctx{.threads = 1};
  choice_of outer(30);
  std::vector<index_t> inner(30);
  for (std::size_t i = 0; i < inner.size(); ++i) inner[i] = static_cast<index_t>(i % 2);
  const auto given = feaug::one_of_from(feaug::vector_view<const index_t>(inner.data(), 30),
                                        feaug::mask{.keep_probability = 0}, feaug::identity{});
  const auto policy = feaug::one_of({0.5F, 0.5F}, given, feaug::identity{});
  feaug::draw(ctx, policy, key, outer.view());
  const std::vector<double> out = augmented(policy, x);
  int masked = 0;
  for (index_t i = 0; i < 30; ++i) {
    const bool zero = outer[i] == 0 && inner[static_cast<std::size_t>(i)] == 0;
    masked += zero ? 1 : 0;
    for (index_t j = 0; j < 4; ++j)
      CHECK(out[static_cast<std::size_t>(i * 4 + j)] == (zero ? 0.0 : x.get(i, j)));
  }
  CHECK((masked > 0 && masked < 15));
}

TEST_CASE("parts are chosen with their probabilities", "[one_of]") {
  constexpr index_t rows = 20000;
  cpu_context ctx{.threads = 1};
  std::vector<index_t> choice(rows, -5);
  feaug::draw(ctx,
              feaug::one_of({0.125F, 0.0F, 0.875F}, feaug::mask{}, feaug::identity{},
                            feaug::gaussian_noise{}),
              key, {choice.data(), rows});
  std::vector<double> share(3);
  for (const index_t part : choice) {
    REQUIRE((part >= 0 && part < 3));
    share[static_cast<std::size_t>(part)] += 1.0 / rows;
  }
  // Five standard deviations of a share of 1/8.
  const double margin = 5 * std::sqrt(0.125 * 0.875 / rows);
  CHECK(share[0] == Approx(0.125).margin(margin));
  CHECK(share[1] == 0.0);
  CHECK(share[2] == Approx(0.875).margin(margin));
}

TEST_CASE("a caller's choice; draws for part of a batch equal those of the batch", "[one_of]") {
  const auto x = test_matrix<double>::normal(3, 2, 3);
  const std::vector<index_t> choice = {1, 0, 1};
  const std::vector<double> out =
      augmented(feaug::one_of_from(feaug::vector_view<const index_t>(choice.data(), 3),
                                   feaug::mask{.keep_probability = 0}, feaug::identity{}),
                x);
  CHECK(out == std::vector<double>{x.get(0, 0), x.get(0, 1), 0, 0, x.get(2, 0), x.get(2, 1)});

  cpu_context ctx{.threads = 1};
  const auto policy = feaug::one_of({0.5F, 0.5F}, feaug::mask{}, feaug::identity{});
  std::vector<index_t> whole(50);
  std::vector<index_t> later(20);
  random_key from_30 = key;
  from_30.row_offset += 30;
  feaug::draw(ctx, policy, key, {whole.data(), 50});
  feaug::draw(ctx, policy, from_30, {later.data(), 20});
  CHECK(later == std::vector<index_t>(whole.begin() + 30, whole.end()));
  CHECK_NOTHROW(feaug::draw(ctx, policy, key, {}));
}

TEST_CASE("one_of and its draw report invalid arguments", "[one_of]") {
  cpu_context ctx{.threads = 1};
  const auto x = test_matrix<float>::normal(3, 5, 1);
  std::vector<index_t> choice = {0, 2, 1};
  const auto given = [&](index_t size) {
    test_matrix<float> out(3, 5);
    out.fill(9.0);
    const std::string message = message_of([&] {
      feaug::augment(ctx,
                     feaug::one_of_from(feaug::vector_view<const index_t>(choice.data(), size),
                                        feaug::mask{}, feaug::fixed_count_mask{.keep_count = 2}),
                     x.view(), key, out.view());
    });
    CHECK(out.values() == std::vector<double>(15, 9.0));
    return message;
  };
  CHECK(given(2) == "one_of_from: choice: got 2 elements, wanted 3 (one a row)");
  CHECK(given(3) == "one_of_from: choice: got 2 in row 1, wanted the number of a part, 0 to 1");
  choice[1] = -1;
  CHECK(given(3) == "one_of_from: choice: got -1 in row 1, wanted the number of a part, 0 to 1");
  CHECK(message_of([&] {
          test_matrix<float> out(3, 5);
          feaug::augment(ctx,
                         feaug::one_of_from(feaug::vector_view<const index_t>(nullptr, 3),
                                            feaug::mask{}, feaug::identity{}),
                         x.view(), key, out.view());
        }) ==
        "one_of_from: choice: got a null pointer with shape (3), wanted a pointer to its "
        "elements");

  choice = {7, 7, 7};
  const auto drawn = [&](const std::array<float, 2>& probabilities, const random_key& with,
                         index_t stride) {
    feaug::vector_view<index_t> into(choice.data(), 3);
    into.strides[0] = stride;
    // keep_count is 4, but drawing a choice does not depend on the number of columns.
    const auto policy =
        feaug::one_of(probabilities, feaug::fixed_count_mask{.keep_count = 4}, feaug::mask{});
    const std::string message = message_of([&] { feaug::draw(ctx, policy, with, into); });
    CHECK(choice == std::vector<index_t>{7, 7, 7});
    return message;
  };
  CHECK(drawn({0.5F, 1.5F}, key, 1) == "draw: probabilities: got 1.5, wanted a number from 0 to 1");
  CHECK(drawn({0.5F, 0.25F}, key, 1) ==
        "draw: probabilities: got a sum of 0.75, wanted a sum of 1");
  CHECK(drawn({0.5F, 0.5F}, {.step = 1ULL << 32U}, 1) ==
        "draw: random_key.step: got 4294967296, wanted a number below 2^32");
  CHECK(drawn({0.5F, 0.5F}, key, 0) ==
        "draw: choice: got stride 0, wanted distinct elements, since it is written");
  feaug::draw(ctx,
              feaug::one_of({0.0F, 1.0F}, feaug::fixed_count_mask{.keep_count = 4}, feaug::mask{}),
              key, {choice.data(), 3});
  CHECK(choice == std::vector<index_t>{1, 1, 1});
}

}  // namespace one_of_test
