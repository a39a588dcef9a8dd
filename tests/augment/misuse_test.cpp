// Invalid arguments of augmentations, draw and l2_normalize, with the exact text of every error
// message: first the errors common to all augmentations, then those of single ones.
#include <catch2/catch.hpp>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "feaug/feaug.hpp"
#include "support/covariance_memory.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace misuse_test {

using feaug::differentiable;
using feaug::index_t;
using feaug::matrix_view;
using feaug::stop_gradient;
using feaug::vector_view;
using testing::message_of;
using testing::test_matrix;

namespace {

constexpr index_t rows = 3;
constexpr index_t cols = 5;
const float not_a_number = std::numeric_limits<float>::quiet_NaN();
const float infinity = std::numeric_limits<float>::infinity();

/// Valid arguments of augment and augment_backward, of which a test changes one. Checks that
/// nothing is written.
struct arguments {
  test_matrix<float> x_memory = test_matrix<float>::normal(rows, cols, 1);
  test_matrix<float> g_memory = test_matrix<float>::normal(rows, cols, 2);
  test_matrix<float> out_memory{rows, cols};
  matrix_view<const float> x = x_memory.view();
  matrix_view<float> out = out_memory.view();
  matrix_view<const float> g = g_memory.view();
  feaug::random_key key = {};
  feaug::cpu_context ctx{.threads = 1};

  arguments() { out_memory.fill(9.0); }

  template <class Policy>
  std::string forward(const Policy& policy) {
    return said([&] { feaug::augment(ctx, policy, x, key, out); });
  }
  /// The gradient with respect to x is written to out.
  template <class Policy>
  std::string backward(const Policy& policy) {
    return said([&] { feaug::augment_backward(ctx, policy, differentiable(x, out), key, g); });
  }
  template <class Call>
  std::string said(const Call& call) {
    const std::vector<double> before = x_memory.values();
    const std::string message = message_of(call);
    CHECK(out_memory.values() == std::vector<double>(rows * cols, 9.0));
    CHECK(x_memory.values() == before);
    return message;
  }
};

/// Checks that augment and augment_backward give the same message.
template <class Policy>
void check_both(const Policy& policy, const std::string& wanted) {
  arguments in;
  CHECK(in.forward(policy) == wanted);
  CHECK(in.backward(policy) == wanted);
}

struct queue_of {
  test_matrix<float> storage;
  index_t cursor = 0;
  index_t size;
  std::vector<std::int64_t> ids = {7, 7, 7, 7};

  explicit queue_of(index_t columns, index_t filled)
      : storage(test_matrix<float>::normal(4, columns, 5)), cursor(filled % 4), size(filled) {}
  feaug::support_queue<float> view() {
    return {.storage = storage.view(), .cursor = &cursor, .size = &size, .ids = {ids.data(), 4}};
  }
};

/// visit(policy, its name, whether it mixes rows) for one policy of every kind.
template <class Visit>
void for_each_kind(const Visit& visit) {
  queue_of queue(cols, 4);
  testing::covariance_memory covariance(cols);
  covariance.count = 1;
  visit(feaug::identity{}, "identity", false);
  visit(feaug::mask{}, "mask", false);
  visit(feaug::fixed_count_mask{}, "fixed_count_mask", false);
  visit(feaug::block_mask{}, "block_mask", false);
  visit(feaug::gaussian_noise{}, "gaussian_noise", false);
  visit(feaug::uniform_noise{}, "uniform_noise", false);
  visit(feaug::covariance_noise(covariance.view()), "covariance_noise", false);
  visit(feaug::interpolate{}, "interpolate", true);
  visit(feaug::extrapolate{}, "extrapolate", true);
  visit(feaug::slerp{}, "slerp", true);
  visit(feaug::exchange_moments{}, "exchange_moments", true);
  visit(feaug::neighbour_from(queue.view()), "neighbour", false);
  visit(feaug::neighbour_from(queue.view(), feaug::mean_neighbour{.k = 3}), "mean_neighbour",
        false);
  visit(feaug::neighbour_from(queue.view(), feaug::mutual_neighbour{}), "mutual_neighbour", true);
  visit(feaug::neighbour_from(queue.view(), feaug::pseudo_neighbour{}), "pseudo_neighbour", false);
  visit(feaug::compose(feaug::mask{}, feaug::gaussian_noise{}), "compose", false);
  visit(feaug::compose(feaug::mask{}, feaug::interpolate{}), "compose", true);
  visit(feaug::one_of({0.5F, 0.5F}, feaug::mask{}, feaug::gaussian_noise{}), "one_of", false);
  visit(feaug::one_of({0.5F, 0.5F}, feaug::mask{}, feaug::extrapolate{}), "one_of", true);
  visit(std::variant<feaug::mask, feaug::gaussian_noise>{}, "variant", false);
  visit(std::variant<feaug::mask, feaug::interpolate>{}, "variant", true);
}

}  // namespace

TEST_CASE("augmentations reject views of the wrong shape", "[augment][misuse]") {
  for_each_kind([](const auto& policy, const std::string& name, bool /*mixes_rows*/) {
    CAPTURE(name);
    const auto fails = [&](const auto& change, const std::string& forward,
                           const std::string& backward) {
      arguments in;
      change(in);
      CHECK(in.forward(policy) == name + ": " + forward);
      CHECK(in.backward(policy) == name + ": " + backward);
    };
    fails([](arguments& in) { in.x.data = nullptr; },
          "x: got a null pointer with shape (3, 5), wanted a pointer to its elements",
          "x: got a null pointer with shape (3, 5), wanted a pointer to its elements");
    fails([](arguments& in) { in.x.strides[1] = 2; },
          "x: got stride 2 along the features, wanted stride 1 (contiguous features)",
          "x: got stride 2 along the features, wanted stride 1 (contiguous features)");
    fails([](arguments& in) { in.x.strides[0] = 4; },
          "x: got row stride 4, wanted 0 or at least 5 (its columns)",
          "x: got row stride 4, wanted 0 or at least 5 (its columns)");
    fails([](arguments& in) { in.out.data = nullptr; },
          "out: got a null pointer with shape (3, 5), wanted a pointer to its elements",
          "gradient of x: got a null pointer with shape (3, 5), wanted a pointer to its elements");
    fails([](arguments& in) { in.out.strides[0] = 0; },
          "out: got row stride 0, wanted at least 5 (its columns), since it is written",
          "gradient of x: got row stride 0, wanted at least 5 (its columns), since it is written");
    fails([](arguments& in) { in.out.extents[0] = 2; },
          "out: got shape (2, 5), wanted shape (3, 5) as x",
          "gradient of x: got shape (2, 5), wanted shape (3, 5) as x");
    fails([](arguments& in) { in.key.step = 1ULL << 32U; },
          "random_key.step: got 4294967296, wanted a number below 2^32",
          "random_key.step: got 4294967296, wanted a number below 2^32");
    fails([](arguments& in) { in.key.row_offset = -1; },
          "random_key.row_offset: got -1, wanted rows numbered from 0 to 2^48 - 1",
          "random_key.row_offset: got -1, wanted rows numbered from 0 to 2^48 - 1");
    arguments in;
    in.g.data = nullptr;
    CHECK(in.backward(policy) ==
          name +
              ": grad_out: got a null pointer with shape (3, 5), wanted a pointer to its elements");
    in.g = in.g_memory.view().rows_from(0, 2);
    CHECK(in.backward(policy) == name + ": grad_out: got shape (2, 5), wanted shape (3, 5) as x");
  });
}

TEST_CASE("augmentations reject overlapping memory", "[augment][misuse]") {
  for_each_kind([](const auto& policy, const std::string& name, bool mixes_rows) {
    CAPTURE(name);
    test_matrix<float> memory(rows + 1, cols);
    arguments in;
    in.x = memory.view().rows_from(1, rows);
    in.out = memory.view().rows_from(0, rows);
    CHECK(in.forward(policy) ==
          name + ": out: got memory that " +
              (mixes_rows ? "overlaps x, wanted memory of its own"
                          : "partly overlaps x, wanted the same view or memory of its own"));
    CHECK(in.backward(policy) ==
          name + ": gradient of x: got memory that overlaps x, wanted memory of its own");
    in.x = in.x_memory.view();
    in.g = memory.view().rows_from(1, rows);
    CHECK(in.backward(policy) ==
          name + ": gradient of x: got memory that " +
              (mixes_rows ? "overlaps grad_out, wanted memory of its own"
                          : "partly overlaps grad_out, wanted the same view or memory of its own"));
  });
  // A gradient cannot be accumulated in place over the cotangent.
  arguments in;
  CHECK(in.said([&] {
    feaug::augment_backward(in.ctx, feaug::mask{}, feaug::accumulate(in.x, in.out), in.key, in.out);
  }) == "mask: gradient of x: got memory that overlaps grad_out, wanted memory of its own");
}

TEST_CASE("masks and noises reject invalid options", "[augment][misuse]") {
  check_both(feaug::mask{.keep_probability = 1.5F},
             "mask: keep_probability: got 1.5, wanted a number from 0 to 1");
  check_both(feaug::mask{.keep_probability = not_a_number},
             "mask: keep_probability: got nan, wanted a number from 0 to 1");
  check_both(feaug::fixed_count_mask{.keep_count = 6},
             "fixed_count_mask: keep_count: got 6, wanted a number from 0 to 5");
  check_both(feaug::block_mask{.block_length = 6},
             "block_mask: block_length: got 6, wanted a number from 0 to 5");
  check_both(feaug::block_mask{.block_length = -1},
             "block_mask: block_length: got -1, wanted a number from 0 to 5");
  check_both(feaug::compose(feaug::mask{}, feaug::mask{.keep_probability = -1}),
             "mask: keep_probability: got -1, wanted a number from 0 to 1");
  check_both(feaug::one_of({0.5F, 0.25F}, feaug::mask{}, feaug::identity{}),
             "one_of: probabilities: got a sum of 0.75, wanted a sum of 1");
  check_both(feaug::gaussian_noise{.scale = -1},
             "gaussian_noise: scale: got -1, wanted a finite number of at least 0");
  check_both(feaug::gaussian_noise{.scale = infinity},
             "gaussian_noise: scale: got inf, wanted a finite number of at least 0");
  check_both(feaug::uniform_noise{.scale = not_a_number},
             "uniform_noise: scale: got nan, wanted a finite number of at least 0");
  const matrix_view<const float> missing(nullptr, rows, cols);
  check_both(feaug::mask_from(missing),
             "mask_from: keep: got a null pointer with shape (3, 5), wanted a pointer to its "
             "elements");
  check_both(feaug::noise_from(missing, 0.1F),
             "noise_from: epsilon: got a null pointer with shape (3, 5), wanted a pointer to its "
             "elements");
  const test_matrix<float> narrow(rows, cols - 1);
  check_both(feaug::mask_from(narrow.view()),
             "mask_from: keep: got shape (3, 4), wanted shape (3, 5) as x");
  check_both(feaug::noise_from(narrow.view(), 0.1F),
             "noise_from: epsilon: got shape (3, 4), wanted shape (3, 5) as x");
  arguments in;
  CHECK(in.forward(feaug::mask_from(in.out)) ==
        "mask_from: out: got memory that overlaps keep, wanted memory of its own");
  CHECK(in.backward(feaug::mask_from(in.out)) ==
        "mask_from: gradient of x: got memory that overlaps keep, wanted memory of its own");
  CHECK(in.forward(feaug::noise_from(in.out, 0.1F)) ==
        "noise_from: out: got memory that overlaps epsilon, wanted memory of its own");
}

TEST_CASE("mixes reject invalid options", "[augment][misuse]") {
  using feaug::weight_distribution;
  check_both(feaug::interpolate{.weight = 1.5F},
             "interpolate: weight: got 1.5, wanted a weight from 0 to 1");
  check_both(feaug::interpolate{.weight = not_a_number},
             "interpolate: weight: got nan, wanted a weight from 0 to 1");
  check_both(feaug::extrapolate{.weight = 0.5F},
             "extrapolate: weight: got 0.5, wanted a finite weight of at least 1");
  check_both(
      feaug::interpolate{.distribution = weight_distribution::uniform, .low = 0.5F, .high = 0.25F},
      "interpolate: high: got 0.25, wanted at least low = 0.5");
  check_both(feaug::extrapolate{.weight = infinity},
             "extrapolate: weight: got inf, wanted a finite weight of at least 1");
  check_both(feaug::interpolate{.distribution = weight_distribution::uniform, .low = -0.5F},
             "interpolate: low: got -0.5, wanted a weight from 0 to 1");
  check_both(feaug::extrapolate{.distribution = weight_distribution::uniform, .high = 0.5F},
             "extrapolate: high: got 0.5, wanted a finite weight of at least 1");
  check_both(
      feaug::extrapolate{.distribution = weight_distribution::uniform, .low = 2.0F, .high = 1.5F},
      "extrapolate: high: got 1.5, wanted at least low = 2");
  check_both(feaug::interpolate{.distribution = weight_distribution::beta, .alpha = 0},
             "interpolate: alpha: got 0, wanted a finite number above 0");
  check_both(feaug::extrapolate{.distribution = weight_distribution::beta, .beta = infinity},
             "extrapolate: beta: got inf, wanted a finite number above 0");

  const auto partner = test_matrix<float>::normal(rows, cols, 4);
  const test_matrix<float> narrow(rows, cols - 1);
  const feaug::interpolate half_way;
  check_both(feaug::with_partner(half_way, matrix_view<const float>(nullptr, rows, cols)),
             "interpolate: partner: got a null pointer with shape (3, 5), wanted a pointer to its "
             "elements");
  check_both(feaug::with_partner(half_way, narrow.view()),
             "interpolate: partner: got shape (3, 4), wanted shape (3, 5) as x");
  check_both(feaug::with_partner(feaug::interpolate{.weight = 2}, partner.view()),
             "interpolate: weight: got 2, wanted a weight from 0 to 1");
  const std::vector<float> weights = {0.5F, 1.5F, 0.5F};
  const auto weighted = [&](index_t size) {
    return feaug::with_weights(half_way, stop_gradient(partner.view()), {weights.data(), size});
  };
  check_both(weighted(2), "interpolate: weights: got 2 elements, wanted 3 (one a row)");
  check_both(weighted(3), "interpolate: weights: got 1.5 in row 1, wanted a weight from 0 to 1");

  arguments in;
  CHECK(in.forward(feaug::with_partner(
            half_way, matrix_view<const float>(in.out.data + 1, rows, cols - 1, cols))) ==
        "interpolate: partner: got shape (3, 4), wanted shape (3, 5) as x");
  test_matrix<float> memory(rows + 1, cols);
  in.out = memory.view().rows_from(0, rows);
  CHECK(in.forward(feaug::with_partner(half_way, memory.view().rows_from(1, rows))) ==
        "interpolate: out: got memory that partly overlaps partner, wanted the same view or memory "
        "of its own");
  // Within compose, an earlier step would overwrite the partner before it is read.
  CHECK(in.forward(feaug::compose(feaug::mask{}, feaug::with_partner(half_way, in.out))) ==
        "interpolate: out: got memory that overlaps partner, wanted memory of its own");
  CHECK(in.backward(feaug::with_partner(half_way, in.out)) ==
        "interpolate: gradient of x: got memory that overlaps partner, wanted memory of its own");
  test_matrix<float> d_partner(rows, cols);
  CHECK(
      in.backward(feaug::with_partner(half_way, differentiable(partner.view(), in.out))) ==
      "interpolate: gradient of x: got memory that overlaps gradient of partner, wanted memory of "
      "its own");
  CHECK(
      in.backward(feaug::with_partner(half_way, differentiable(in.g, in.out))) ==
      "interpolate: gradient of x: got memory that overlaps gradient of partner, wanted memory of "
      "its own");
  in.g = d_partner.view();
  CHECK(in.backward(
            feaug::with_partner(half_way, differentiable(partner.view(), d_partner.view()))) ==
        "interpolate: gradient of partner: got memory that overlaps grad_out, wanted memory of its "
        "own");
}

TEST_CASE("neighbours reject invalid queues", "[augment][misuse]") {
  queue_of empty(cols, 0);
  check_both(feaug::neighbour_from(empty.view()),
             "neighbour: queue: got no filled rows, wanted at least one, or "
             "neighbour_fallback::query");
  queue_of narrow(cols - 1, 4);
  check_both(feaug::neighbour_from(narrow.view()),
             "neighbour: queue.storage: got 4 columns, wanted 5 as x");
  queue_of lost(cols, 4);
  lost.cursor = 4;
  check_both(feaug::neighbour_from(lost.view()),
             "neighbour: queue.cursor: got 4, wanted a number from 0 to 3");
  queue_of queue(cols, 4);
  const std::vector<std::int64_t> own = {1, 7, 2};
  std::vector<index_t> found = {5, 5, 5};
  check_both(feaug::neighbour_from(queue.view(), {}, {.exclude_ids = {own.data(), 2}}),
             "neighbour: exclude_ids: got 2 elements, wanted 3 (one a row)");
  check_both(feaug::neighbour_from(queue.view(), {}, {.indices = {found.data(), 2}}),
             "neighbour: indices: got 2 elements, wanted 3 (one a row)");
  CHECK(found == std::vector<index_t>{5, 5, 5});
  arguments in;
  CHECK(in.forward(feaug::neighbour_from(queue.view(), {}, {.exclude_ids = {own.data(), 3}})) ==
        "neighbour: exclude_ids: got every filled row excluded for row 1, wanted a neighbour for "
        "every row, or neighbour_fallback::query");
  in.out = queue.storage.view().rows_from(0, rows);
  CHECK(in.forward(feaug::neighbour_from(queue.view())) ==
        "neighbour: out: got memory that overlaps queue.storage, wanted memory of its own");
}

TEST_CASE("draw rejects invalid arguments", "[augment][misuse]") {
  arguments in;
  const auto matrix = [&](const auto& policy, const feaug::random_key& key = {}) {
    return in.said([&] { feaug::draw(in.ctx, policy, key, in.out); });
  };
  const std::string too_late = "draw: random_key.step: got 4294967296, wanted a number below 2^32";
  CHECK(matrix(feaug::mask{}, {.step = 1ULL << 32U}) == too_late);
  CHECK(matrix(feaug::gaussian_noise{}, {.step = 1ULL << 32U}) == too_late);
  CHECK(matrix(feaug::block_mask{.block_length = 6}) ==
        "block_mask: block_length: got 6, wanted a number from 0 to 5");
  CHECK(matrix(feaug::uniform_noise{.scale = -1}) ==
        "uniform_noise: scale: got -1, wanted a finite number of at least 0");
  in.out.strides[0] = 0;
  CHECK(matrix(feaug::mask{}) ==
        "draw: keep: got row stride 0, wanted at least 5 (its columns), since it is written");
  CHECK(matrix(feaug::gaussian_noise{}) ==
        "draw: epsilon: got row stride 0, wanted at least 5 (its columns), since it is written");
  std::vector<float> weights(3, 5.0F);
  std::vector<index_t> permutation(3, 5);
  const auto mix = [&](const feaug::interpolate& policy, const vector_view<float>& into,
                       const vector_view<index_t>& order, const feaug::random_key& key = {}) {
    const std::string message = message_of([&] { feaug::draw(in.ctx, policy, key, into, order); });
    CHECK(weights == std::vector<float>(3, 5.0F));
    CHECK(permutation == std::vector<index_t>(3, 5));
    return message;
  };
  CHECK(mix({}, {nullptr, 3}, {permutation.data(), 3}) ==
        "draw: weights: got a null pointer with shape (3), wanted a pointer to its elements");
  CHECK(mix({}, {weights.data(), 3}, {permutation.data(), 2}) ==
        "draw: permutation: got 2 elements, wanted 3 (one a weight)");
  CHECK(mix({.weight = 2}, {weights.data(), 3}, {permutation.data(), 3}) ==
        "interpolate: weight: got 2, wanted a weight from 0 to 1");
  CHECK(mix({}, {weights.data(), 3}, {permutation.data(), 3}, {.row_offset = -1}) ==
        "draw: random_key.row_offset: got -1, wanted rows numbered from 0 to 2^48 - 1");
}

TEST_CASE("l2_normalize rejects invalid arguments", "[l2_normalize][misuse]") {
  arguments in;
  const auto forward = [&](const feaug::l2_normalize_options& options = {}) {
    return in.said([&] { feaug::l2_normalize(in.ctx, in.x, in.out, options); });
  };
  const auto backward = [&](const feaug::l2_normalize_options& options = {}) {
    return in.said(
        [&] { feaug::l2_normalize_backward(in.ctx, differentiable(in.x, in.out), in.g, options); });
  };
  for (const auto& [eps, got] : {std::pair{0.0, "0"}, std::pair{-1.0, "-1"},
                                 std::pair{static_cast<double>(not_a_number), "nan"}}) {
    const std::string wanted = std::string("eps: got ") + got + ", wanted a finite number above 0";
    CHECK(forward({.eps = eps}) == "l2_normalize: " + wanted);
    CHECK(backward({.eps = eps}) == "l2_normalize_backward: " + wanted);
  }
  in.x.data = nullptr;
  const std::string null =
      "x: got a null pointer with shape (3, 5), wanted a pointer to its elements";
  CHECK(forward() == "l2_normalize: " + null);
  CHECK(backward() == "l2_normalize_backward: " + null);
  in.x = in.x_memory.view();
  in.x.strides[1] = 2;
  const std::string apart =
      "x: got stride 2 along the features, wanted stride 1 (contiguous features)";
  CHECK(forward() == "l2_normalize: " + apart);
  CHECK(backward() == "l2_normalize_backward: " + apart);
  in.x = in.x_memory.view().rows_from(0, 2);
  CHECK(forward() == "l2_normalize: out: got shape (3, 5), wanted shape (2, 5) as x");
  CHECK(backward() ==
        "l2_normalize_backward: gradient of x: got shape (3, 5), wanted shape (2, 5) as x");
  test_matrix<float> memory(rows + 1, cols);
  in.x = memory.view().rows_from(1, rows);
  in.out = memory.view().rows_from(0, rows);
  CHECK(forward() ==
        "l2_normalize: out: got memory that partly overlaps x, wanted the same view or memory of "
        "its own");
  CHECK(backward() ==
        "l2_normalize_backward: gradient of x: got memory that overlaps x, wanted memory of its "
        "own");
  in.x = in.x_memory.view();
  in.g = memory.view().rows_from(1, rows);
  CHECK(
      backward() ==
      "l2_normalize_backward: gradient of x: got memory that partly overlaps grad_out, wanted the "
      "same view or memory of its own");
  in.g = in.g_memory.view().rows_from(0, 2);
  CHECK(backward() ==
        "l2_normalize_backward: grad_out: got shape (2, 5), wanted shape (3, 5) as x");
}

}  // namespace misuse_test
