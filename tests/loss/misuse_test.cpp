// What every loss refuses, in each of its entries: the same misuse of all of them, to the word.
#include <catch2/catch.hpp>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "feaug/cpu/loss/hard_negative_info_nce.hpp"
#include "feaug/cpu/loss/info_nce.hpp"
#include "feaug/cpu/loss/negative_cosine.hpp"
#include "feaug/cpu/loss/nt_xent.hpp"
#include "feaug/cpu/loss/sigmoid.hpp"
#include "feaug/cpu/loss/symmetric_info_nce.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace misuse_test {

using feaug::differentiable;
using feaug::index_t;
using feaug::matrix_view;
using feaug::reduce;
using feaug::stop_gradient;
using feaug::vector_view;
using testing::message_of;
using testing::test_matrix;

namespace {

constexpr index_t rows = 4;
constexpr index_t cols = 3;
const double not_a_number = std::numeric_limits<double>::quiet_NaN();

struct info_nce_entries {
  static constexpr const char* name = "info_nce";
  static constexpr const char* first = "queries";
  static constexpr const char* second = "keys";
  static constexpr index_t losses = rows;
  static constexpr index_t statistics = rows;
  using options = feaug::info_nce_options<float>;
  static constexpr auto forward = [](auto&&... in) { feaug::info_nce(in...); };
  static constexpr auto backward = [](auto&&... in) { feaug::info_nce_backward(in...); };
  static constexpr auto at_once = [](auto&&... in) { feaug::info_nce_with_gradients(in...); };
};

struct hard_negative_entries {
  static constexpr const char* name = "hard_negative_info_nce";
  static constexpr const char* first = "queries";
  static constexpr const char* second = "keys";
  static constexpr index_t losses = rows;
  static constexpr index_t statistics = rows;
  using options = feaug::info_nce_options<float>;
  using synthesis = feaug::synthetic_negatives<float>;
  static constexpr auto forward = [](auto& ctx, const auto& q, const auto& k, auto&&... in) {
    feaug::hard_negative_info_nce(ctx, q, k, synthesis{}, in...);
  };
  static constexpr auto backward = [](auto& ctx, const auto& q, const auto& k, auto&&... in) {
    feaug::hard_negative_info_nce_backward(ctx, q, k, synthesis{}, in...);
  };
  static constexpr auto at_once = [](auto& ctx, const auto& q, const auto& k, auto&&... in) {
    feaug::hard_negative_info_nce_with_gradients(ctx, q, k, synthesis{}, in...);
  };
};

struct symmetric_entries {
  static constexpr const char* name = "symmetric_info_nce";
  static constexpr const char* first = "queries";
  static constexpr const char* second = "keys";
  static constexpr index_t losses = rows;
  static constexpr index_t statistics = 2 * rows;
  using options = feaug::symmetric_info_nce_options<float>;
  static constexpr auto forward = [](auto&&... in) { feaug::symmetric_info_nce(in...); };
  static constexpr auto backward = [](auto&&... in) { feaug::symmetric_info_nce_backward(in...); };
  static constexpr auto at_once = [](auto&&... in) {
    feaug::symmetric_info_nce_with_gradients(in...);
  };
};

struct nt_xent_entries {
  static constexpr const char* name = "nt_xent";
  static constexpr const char* first = "a";
  static constexpr const char* second = "b";
  static constexpr index_t losses = 2 * rows;
  static constexpr index_t statistics = 2 * rows;
  using options = feaug::nt_xent_options<float>;
  static constexpr auto forward = [](auto&&... in) { feaug::nt_xent(in...); };
  static constexpr auto backward = [](auto&&... in) { feaug::nt_xent_backward(in...); };
  static constexpr auto at_once = [](auto&&... in) { feaug::nt_xent_with_gradients(in...); };
};

struct cosine_entries {
  static constexpr const char* name = "negative_cosine";
  static constexpr const char* first = "prediction";
  static constexpr const char* second = "target";
  static constexpr index_t losses = rows;
  static constexpr index_t statistics = 0;  // it has none
  using options = feaug::negative_cosine_options<float>;
  static constexpr auto forward = [](auto&&... in) { feaug::negative_cosine(in...); };
  static constexpr auto backward =
      [](auto& ctx, const auto& p, const auto& t, const vector_view<const float>& /*statistics*/,
         const vector_view<const float>& cotangent,
         const options& how) { feaug::negative_cosine_backward(ctx, p, t, cotangent, how); };
  static constexpr auto at_once = [](auto&&... in) {
    feaug::negative_cosine_with_gradients(in...);
  };
};

struct sigmoid_entries {
  static constexpr const char* name = "sigmoid";
  static constexpr const char* first = "a";
  static constexpr const char* second = "b";
  static constexpr index_t losses = rows;
  static constexpr index_t statistics = 0;  // it has none
  using options = feaug::sigmoid_options<float>;
  static constexpr auto forward = [](auto&&... in) { feaug::sigmoid(in...); };
  static constexpr auto backward =
      [](auto& ctx, const auto& a, const auto& b, const vector_view<const float>& /*statistics*/,
         const vector_view<const float>& cotangent,
         const options& how) { feaug::sigmoid_backward(ctx, a, b, cotangent, how); };
  static constexpr auto at_once = [](auto&&... in) { feaug::sigmoid_with_gradients(in...); };
};

/// A call's arguments, right until a test changes one; destinations that nothing may be written to.
template <class Loss>
struct arguments {
  test_matrix<float> x = test_matrix<float>::normal(rows, cols, 1);
  test_matrix<float> y = test_matrix<float>::normal(rows, cols, 2);
  test_matrix<float> dx = untouched(rows, cols);
  test_matrix<float> dy = untouched(rows, cols);
  std::vector<float> loss = std::vector<float>(16, 5.0F);
  std::vector<float> statistics = std::vector<float>(16, 5.0F);
  std::vector<float> ones = std::vector<float>(16, 1.0F);
  feaug::operand<float> first = differentiable(x.view(), dx.view());
  feaug::operand<float> second = differentiable(y.view(), dy.view());
  vector_view<float> loss_view = {loss.data(), 1};
  vector_view<float> statistics_view = {statistics.data(), Loss::statistics};
  vector_view<const float> cotangent = {ones.data(), 1};
  typename Loss::options options = {};
  feaug::cpu_context ctx{.threads = 1};

  static test_matrix<float> untouched(index_t r, index_t c) {
    test_matrix<float> m(r, c);
    m.fill(5.0);
    return m;
  }

  std::string forward() {
    return said("", [&] {
      if constexpr (Loss::statistics == 0) {
        Loss::forward(ctx, first.value, second.value, loss_view, options);
      } else {
        Loss::forward(ctx, first.value, second.value, loss_view, options, statistics_view);
      }
    });
  }
  std::string backward() {
    return said("_backward",
                [&] { Loss::backward(ctx, first, second, statistics_view, cotangent, options); });
  }
  std::string at_once() {
    return said("_with_gradients", [&] { Loss::at_once(ctx, first, second, loss_view, options); });
  }

  /// Every entry complains with the same words after its own name.
  void check_all(const std::string& wanted) {
    CHECK(forward() == wanted);
    CHECK(backward() == wanted);
    CHECK(at_once() == wanted);
  }

 private:
  /// The message without the entry's name, which opens it. Nothing has been written.
  template <class Call>
  std::string said(const std::string& entry, const Call& call) {
    const std::string message = message_of(call);
    CHECK(dx.values() == std::vector<double>(rows * cols, 5.0));
    CHECK(dy.values() == std::vector<double>(rows * cols, 5.0));
    CHECK(loss == std::vector<float>(16, 5.0F));
    CHECK(statistics == std::vector<float>(16, 5.0F));
    const std::string opening = Loss::name + entry + ": ";
    REQUIRE(message.substr(0, opening.size()) == opening);
    return message.substr(opening.size());
  }
};

std::string text(index_t number) { return std::to_string(number); }

}  // namespace

TEMPLATE_TEST_CASE("losses refuse views that they cannot read", "[loss][misuse]", info_nce_entries,
                   hard_negative_entries, symmetric_entries, nt_xent_entries, cosine_entries,
                   sigmoid_entries) {
  const std::string first = TestType::first;
  const std::string second = TestType::second;
  SECTION("null") {
    arguments<TestType> in;
    in.first.value = {nullptr, rows, cols};
    in.check_all(first +
                 ": got a null pointer with shape (4, 3), wanted a pointer to its elements");
  }
  SECTION("nothing") {
    arguments<TestType> in;
    in.first = stop_gradient(matrix_view<const float>(in.x.view().data, 0, cols));
    in.check_all(first + ": got shape (0, 3), wanted at least one row and one column");
  }
  SECTION("rows that overlap") {
    arguments<TestType> in;
    in.second.value.strides[0] = 2;
    in.check_all(second + ": got row stride 2, wanted 0 or at least 3 (its columns)");
  }
  SECTION("features apart") {
    arguments<TestType> in;
    in.second.value.strides[1] = 2;
    in.check_all(second +
                 ": got stride 2 along the features, wanted stride 1 (contiguous features)");
  }
  SECTION("columns that do not fit") {
    arguments<TestType> in;
    const auto wide = test_matrix<float>::normal(rows, cols + 1, 3);
    in.second = stop_gradient(wide.view());
    in.check_all(second + (TestType::first == std::string("queries") &&
                                   TestType::name != std::string("symmetric_info_nce")
                               ? ": got 4 columns, wanted 3 as queries"
                               : ": got shape (4, 4), wanted shape (4, 3) as " + first));
  }
}

TEMPLATE_TEST_CASE("losses refuse destinations that do not fit or overlap", "[loss][misuse]",
                   info_nce_entries, hard_negative_entries, symmetric_entries, nt_xent_entries,
                   cosine_entries, sigmoid_entries) {
  const std::string first = TestType::first;
  const std::string second = TestType::second;
  const auto both = [](arguments<TestType>& in, const std::string& wanted) {
    CHECK(in.backward() == wanted);
    CHECK(in.at_once() == wanted);
  };
  SECTION("shape") {
    arguments<TestType> in;
    in.first.gradient.extents[0] = 3;
    both(in, "gradient of " + first + ": got shape (3, 3), wanted shape (4, 3) as " + first);
  }
  SECTION("null") {
    arguments<TestType> in;
    in.second.gradient.data = nullptr;
    both(in, "gradient of " + second +
                 ": got a null pointer with shape (4, 3), wanted a pointer to its elements");
  }
  SECTION("one row for all") {
    arguments<TestType> in;
    in.first.gradient.strides[0] = 0;
    both(in, "gradient of " + first +
                 ": got row stride 0, wanted at least 3 (its columns), since it is written");
  }
  SECTION("its own value") {
    arguments<TestType> in;
    in.first.value = in.dx.view();
    both(in, "gradient of " + first + ": got memory that overlaps " + first +
                 ", wanted memory of its own");
  }
  SECTION("the other value") {
    arguments<TestType> in;
    in.second = stop_gradient(in.dx.view());
    both(in, "gradient of " + first + ": got memory that overlaps " + second +
                 ", wanted memory of its own");
  }
  SECTION("the other destination") {
    arguments<TestType> in;
    in.second.gradient = in.dx.view();
    both(in, "gradient of " + first + ": got memory that overlaps gradient of " + second +
                 ", wanted memory of its own");
  }
}

TEMPLATE_TEST_CASE("losses refuse vectors that do not fit", "[loss][misuse]", info_nce_entries,
                   hard_negative_entries, symmetric_entries, nt_xent_entries, cosine_entries,
                   sigmoid_entries) {
  const std::string losses = text(TestType::losses);
  SECTION("the loss") {
    arguments<TestType> in;
    in.loss_view = {in.loss.data(), 2};
    CHECK(in.forward() == "loss: got 2 elements, wanted 1 (the reduced loss)");
    CHECK(in.at_once() == "loss: got 2 elements, wanted 1 (the reduced loss)");
    in.options.reduction = reduce::none;
    CHECK(in.forward() == "loss: got 2 elements, wanted " + losses + " (a loss a row)");
    CHECK(in.at_once() == "loss: got 2 elements, wanted " + losses + " (a loss a row)");
    in.loss_view = {nullptr, 2};
    CHECK(in.forward() ==
          "loss: got a null pointer with shape (2), wanted a pointer to its elements");
    in.loss_view = {in.loss.data(), 2};
    in.loss_view.strides[0] = 0;
    CHECK(in.at_once() == "loss: got stride 0, wanted distinct elements, since it is written");
  }
  SECTION("the cotangent") {
    arguments<TestType> in;
    in.cotangent = {};
    CHECK(in.backward() ==
          "cotangent: got no elements, wanted one, or one a row with reduce::none");
    in.cotangent = {in.ones.data(), 3};
    CHECK(in.backward() == "cotangent: got 3 elements, wanted 1 (the elements of the loss)");
    in.options.reduction = reduce::none;
    CHECK(in.backward() ==
          "cotangent: got 3 elements, wanted " + losses + " (the elements of the loss)");
    in.cotangent = {nullptr, 1};
    CHECK(in.backward() ==
          "cotangent: got a null pointer with shape (1), wanted a pointer to its elements");
  }
  SECTION("the rows' weights") {
    arguments<TestType> in;
    in.options.row_weights = {in.ones.data(), 3};
    in.check_all("row_weights: got 3 elements, wanted " + losses + " (one a row of the loss)");
    in.options.row_weights = {nullptr, TestType::losses};
    in.check_all("row_weights: got a null pointer with shape (" + losses +
                 "), wanted a pointer to its elements");
  }
  SECTION("the gradients' scale") {
    arguments<TestType> in;
    in.options.gradient_scale = not_a_number;
    in.check_all("gradient_scale: got nan, wanted a finite number");
  }
}

TEMPLATE_TEST_CASE("contrastive losses refuse temperatures and statistics", "[loss][misuse]",
                   info_nce_entries, hard_negative_entries, symmetric_entries, nt_xent_entries) {
  SECTION("the temperature") {
    arguments<TestType> in;
    const double infinity = std::numeric_limits<double>::infinity();
    for (const auto& [temperature, got] :
         {std::pair{0.0, "0"}, std::pair{-0.5, "-0.5"}, std::pair{not_a_number, "nan"},
          std::pair{infinity, "inf"}}) {
      in.options.temperature = temperature;
      in.check_all(std::string("temperature: got ") + got + ", wanted a finite number above 0");
    }
  }
  SECTION("the learnable temperature") {
    arguments<TestType> in;
    float zero = 0;
    in.options.learnable_temperature = stop_gradient(feaug::scalar(zero));
    in.check_all("learnable_temperature: got 0, wanted a finite number above 0");
    in.options.learnable_temperature = stop_gradient(vector_view<float>(in.ones.data(), 2));
    in.check_all("learnable_temperature: got 2 elements, wanted 1 (a scalar)");
    in.options.learnable_temperature =
        differentiable(vector_view<float>(in.ones.data(), 1), vector_view<float>(nullptr, 1));
    in.check_all(
        "gradient of learnable_temperature: got a null pointer with shape (1), wanted a pointer to "
        "its elements");
  }
  SECTION("the statistics") {
    arguments<TestType> in;
    const std::string size = text(TestType::statistics);
    in.statistics_view = {in.statistics.data(), 3};
    CHECK(in.forward() ==
          "statistics: got 3 elements, wanted " + size + " (a number a row of the loss)");
    CHECK(in.backward() ==
          "statistics: got 3 elements, wanted " + size + " (as the forward pass wrote them)");
    in.statistics_view = {};
    CHECK(in.backward() ==
          "statistics: got 0 elements, wanted " + size + " (as the forward pass wrote them)");
    in.statistics_view = {in.loss.data(), TestType::statistics};
    CHECK(in.forward() == "statistics: got memory that overlaps loss, wanted memory of its own");
  }
}

TEST_CASE("sigmoid refuses scales and biases that are not finite", "[loss][misuse]") {
  arguments<sigmoid_entries> in;
  in.options.scale = std::numeric_limits<double>::infinity();
  in.check_all("scale: got inf, wanted a finite number");
  in.options.scale = 10;
  in.options.bias = not_a_number;
  in.check_all("bias: got nan, wanted a finite number");
  in.options.bias = -10;
  in.options.learnable_scale = stop_gradient(vector_view<float>(in.ones.data(), 2));
  in.check_all("learnable_scale: got 2 elements, wanted 1 (a scalar)");
  in.options.learnable_scale = {};
  auto infinite = std::numeric_limits<float>::infinity();
  in.options.learnable_bias = stop_gradient(feaug::scalar(infinite));
  in.check_all("learnable_bias: got inf, wanted a finite number");
}

TEST_CASE("a loss that is returned is one number", "[loss][misuse]") {
  arguments<info_nce_entries> in;
  const auto x = in.first;
  const auto y = in.second;
  const std::string wanted =
      ": reduction: got none, wanted mean or sum, or a view for a loss a row";
  auto& ctx = in.ctx;
  CHECK(message_of([&] { feaug::info_nce(ctx, x.value, y.value, {.reduction = reduce::none}); }) ==
        "info_nce" + wanted);
  CHECK(message_of([&] {
          feaug::info_nce_with_gradients(ctx, x, y, {.reduction = reduce::none});
        }) == "info_nce_with_gradients" + wanted);
  CHECK(message_of([&] {
          feaug::symmetric_info_nce(ctx, x.value, y.value, {.reduction = reduce::none});
        }) == "symmetric_info_nce" + wanted);
  CHECK(message_of([&] {
          feaug::symmetric_info_nce_with_gradients(ctx, x, y, {.reduction = reduce::none});
        }) == "symmetric_info_nce_with_gradients" + wanted);
  CHECK(message_of([&] { feaug::nt_xent(ctx, x.value, y.value, {.reduction = reduce::none}); }) ==
        "nt_xent" + wanted);
  CHECK(message_of([&] {
          feaug::nt_xent_with_gradients(ctx, x, y, {.reduction = reduce::none});
        }) == "nt_xent_with_gradients" + wanted);
  CHECK(message_of([&] { feaug::sigmoid(ctx, x.value, y.value, {.reduction = reduce::none}); }) ==
        "sigmoid" + wanted);
  CHECK(message_of([&] {
          feaug::sigmoid_with_gradients(ctx, x, y, {.reduction = reduce::none});
        }) == "sigmoid_with_gradients" + wanted);
  CHECK(message_of([&] {
          feaug::negative_cosine(ctx, x.value, y.value, {.reduction = reduce::none});
        }) == "negative_cosine" + wanted);
  CHECK(message_of([&] {
          feaug::negative_cosine_with_gradients(ctx, x, y, {.reduction = reduce::none});
        }) == "negative_cosine_with_gradients" + wanted);
}

TEST_CASE("info_nce refuses keys and negatives that do not fit", "[loss][misuse]") {
  arguments<info_nce_entries> in;
  const auto fresh = test_matrix<float>::normal(5, cols, 5);
  in.options.positive_offset = 1;
  in.check_all(
      "keys: got 4 rows, wanted at least 4 queries + positive_offset 1 (an offset of at least 0)");
  in.options.positive_offset = -1;
  in.check_all(
      "keys: got 4 rows, wanted at least 4 queries + positive_offset -1 (an offset of at least 0)");
  in.options.positive_offset = 0;
  in.options.negatives = stop_gradient(matrix_view<const float>(fresh.view().data, 3, 5));
  in.check_all("negatives: got 5 columns, wanted 3 as queries");
  in.options.negatives = stop_gradient(matrix_view<const float>(nullptr, 5, cols));
  in.check_all("negatives: got a null pointer with shape (5, 3), wanted a pointer to its elements");
  in.options.negatives = differentiable(fresh.view(), in.dx.view());
  in.check_all("gradient of negatives: got shape (4, 3), wanted shape (5, 3) as negatives");
  in.options.negatives = stop_gradient(in.dy.view());
  CHECK(in.at_once() ==
        "gradient of keys: got memory that overlaps negatives, wanted memory of its own");
}

TEST_CASE("hard_negative_info_nce refuses what cannot be made", "[loss][misuse]") {
  const feaug::synthetic_counts counts = {.interpolated = 3,
                                          .extrapolated = 2,
                                          .mixed = 4,
                                          .noisy = 2,
                                          .stepped = 1,
                                          .sign_stepped = 3};
  arguments<hard_negative_entries> in;
  const auto negatives = test_matrix<float>::normal(6, cols, 5);
  test_matrix<float> d_negatives = in.untouched(6, cols);
  in.options.negatives = differentiable(negatives.view(), d_negatives.view());
  feaug::synthetic_negatives<float> how = {.hardest = 5, .counts = counts};
  const auto at_once = [&] {
    return message_of([&] {
      feaug::hard_negative_info_nce_with_gradients(in.ctx, in.first, in.second, how, in.loss_view,
                                                   in.options);
    });
  };
  const auto check_all = [&](const std::string& wanted) {
    const std::string name = hard_negative_entries::name;
    CHECK(message_of([&] {
            auto stopped = in.options;
            stopped.negatives = stop_gradient(in.options.negatives.value);
            feaug::hard_negative_info_nce(in.ctx, in.first.value, in.second.value, how,
                                          in.loss_view, stopped, in.statistics_view);
          }) == name + ": " + wanted);
    CHECK(message_of([&] {
            feaug::hard_negative_info_nce_backward(in.ctx, in.first, in.second, how,
                                                   in.statistics_view, in.cotangent, in.options);
          }) == name + "_backward: " + wanted);
    CHECK(at_once() == name + "_with_gradients: " + wanted);
  };
  std::vector<index_t> first(rows * 15);
  std::vector<index_t> second(rows * 4);
  std::vector<float> weights(rows * 9);
  std::vector<float> noise(rows * 2 * cols);
  const feaug::drawn_synthesis<float> drawn = {
      .first = matrix_view<index_t>(first.data(), rows, 15),
      .second = matrix_view<index_t>(second.data(), rows, 4),
      .weights = matrix_view<float>(weights.data(), rows, 9),
      .noise = matrix_view<float>(noise.data(), rows * 2, cols)};
  SECTION("how many") {
    how.counts.mixed = -1;
    check_all("counts.mixed: got -1, wanted a number from 0 to 1048576");
    how.counts = counts;
    how.counts.noisy = 1048577;
    check_all("counts.noisy: got 1048577, wanted a number from 0 to 1048576");
    how.counts = counts;
    how.hardest = 7;
    check_all("hardest: got 7, wanted a number from 1 to 6");
    how.hardest = 0;
    check_all("hardest: got 0, wanted a number from 1 to 6");
    in.options.negatives = {};
    check_all("negatives: got none, wanted at least one, to make 15 synthetic ones a query from");
  }
  SECTION("numbers") {
    how.interpolation_limit = 1.5F;
    check_all("interpolation_limit: got 1.5, wanted a number from 0 to 1");
    how.interpolation_limit = 0.5F;
    how.extrapolation_limit = 0.5F;
    check_all("extrapolation_limit: got 0.5, wanted a finite number of at least 1");
    how.extrapolation_limit = 1.5F;
    how.noise_scale = -1.0F;
    check_all("noise_scale: got -1, wanted a finite number of at least 0");
    how.noise_scale = 0.0F;
    how.step = std::numeric_limits<float>::infinity();
    check_all("step: got inf, wanted a finite number");
    how.step = 0.0F;
    how.sign_step = std::numeric_limits<float>::infinity();
    check_all("sign_step: got inf, wanted a finite number");
  }
  SECTION("the key") {
    how.key.step = std::uint64_t{1} << 32;
    check_all("random_key.step: got 4294967296, wanted a number below 2^32");
    how.key = {.stream = 65535};
    check_all("random_key.stream: got 65535 with 2 streams needed, wanted streams below 2^16");
    how.key = {.row_offset = index_t{1} << 47};
    check_all(
        "random_key.row_offset: got 140737488355328, wanted rows numbered below 2^48 / 2, since "
        "each has that many rows of noise");
  }
  SECTION("ids") {
    const std::vector<std::int64_t> ids(6);
    how.ids = {ids.data(), 6};
    check_all("exclude_ids: got 0 elements, wanted 4 (one a query, since there are ids)");
    how.exclude_ids = {ids.data(), 4};
    how.ids = {};
    check_all("ids: got 0 elements, wanted 6 (one a negative, since queries exclude by them)");
    how.ids = {nullptr, 6};
    check_all("ids: got a null pointer with shape (6), wanted a pointer to its elements");
  }
  SECTION("draws that were made before") {
    how.drawn = drawn;
    how.drawn.first.extents[1] = 14;
    check_all(
        "drawn.first: got shape (4, 14), wanted shape (4, 15) as the queries and counts ask for");
    how.drawn = drawn;
    how.drawn.noise = {};
    check_all(
        "drawn.noise: got shape (0, 0), wanted shape (8, 3) as the queries and counts ask for");
    how.drawn = {.weights = drawn.weights};
    check_all("drawn.first: got none, wanted all that is drawn, since part of it is given");
    how.drawn = drawn;
    second[5] = 5;
    check_all("drawn.second: got 5, wanted a number from 0 to 4");
    second[5] = 0;
    how.drawn.weights = matrix_view<float>(in.dx.view().data, rows, 9);
    CHECK(at_once() ==
          "hard_negative_info_nce_with_gradients: gradient of queries: got memory that overlaps "
          "drawn.weights, wanted memory of its own");
  }
  SECTION("where draws go") {
    const auto draw = [&](const matrix_view<index_t>& to_second, const matrix_view<float>& e) {
      return message_of([&] {
        feaug::draw(in.ctx, how, matrix_view<index_t>(first.data(), rows, 15), to_second,
                    {weights.data(), rows, 9}, e);
      });
    };
    CHECK(draw({second.data(), rows, 4}, {}) ==
          "draw: noise: got shape (0, 0), wanted 8 rows of features");
    CHECK(draw({second.data(), rows, 3}, {noise.data(), rows * 2, cols}) ==
          "draw: second: got shape (4, 3), wanted shape (4, 4) as the rows of first and counts ask "
          "for");
    CHECK(draw({first.data(), rows, 4}, {noise.data(), rows * 2, cols}) ==
          "draw: second: got memory that overlaps first, wanted memory of its own");
    how.drawn = drawn;
    CHECK(draw({second.data(), rows, 4}, {noise.data(), rows * 2, cols}) ==
          "draw: drawn: got draws that were made before, wanted none: a key to draw by");
  }
  SECTION("a loss that is returned is one number") {
    const std::string wanted =
        ": reduction: got none, wanted mean or sum, or a view for a loss a row";
    in.options.reduction = reduce::none;
    CHECK(message_of([&] {
            feaug::hard_negative_info_nce(in.ctx, in.first.value, in.second.value, how, in.options);
          }) == "hard_negative_info_nce" + wanted);
    CHECK(message_of([&] {
            feaug::hard_negative_info_nce_with_gradients(in.ctx, in.first, in.second, how,
                                                         in.options);
          }) == "hard_negative_info_nce_with_gradients" + wanted);
  }
  CHECK(in.dx.values() == std::vector<double>(rows * cols, 5.0));
  CHECK(in.dy.values() == std::vector<double>(rows * cols, 5.0));
  CHECK(d_negatives.values() == std::vector<double>(6 * cols, 5.0));
  CHECK(in.loss == std::vector<float>(16, 5.0F));
  CHECK(in.statistics == std::vector<float>(16, 5.0F));
}

}  // namespace misuse_test
