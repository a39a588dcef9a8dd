// Tests of momentum_update and momentum_at: comparison with plain loops, edge cases, bad arguments.
#include "feaug/cpu/step/momentum_update.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace momentum_update_test {

using feaug::index_t;
using feaug::momentum_pair;
using testing::message_of;
using testing::test_matrix;

namespace {

/// m · target + (1 − m) · online, in double, rounded once to T.
template <class T, class S>
test_matrix<T> followed(test_matrix<T> target, const test_matrix<S>& online, double m) {
  for (index_t i = 0; i < target.rows(); ++i) {
    for (index_t j = 0; j < target.cols(); ++j)
      target.set(i, j, m * target.get(i, j) + (1 - m) * online.get(i, j));
  }
  return target;
}

template <class T, class S>
void check_types() {
  // Parameters of several shapes: packed, with padding, and empty.
  const std::vector<std::array<index_t, 4>> shapes = {{3, 5, 0, 0}, {1, 7, 0, 0}, {4, 1, 2, 0},
                                                      {2, 6, 1, 3}, {0, 4, 0, 0}, {5, 3, 0, 2}};
  std::vector<test_matrix<T>> targets;
  std::vector<test_matrix<S>> online;
  unsigned seed = 1;
  for (const auto& [rows, cols, target_padding, online_padding] : shapes) {
    targets.push_back(test_matrix<T>::normal(rows, cols, seed++, target_padding));
    online.push_back(test_matrix<S>::normal(rows, cols, seed++, online_padding));
  }
  for (const double m : {0.0, 0.3, 0.99, 1.0}) {
    CAPTURE(m);
    auto got = targets;
    std::vector<momentum_pair<T, S>> pairs;
    for (std::size_t i = 0; i < got.size(); ++i)
      pairs.push_back({got[i].view(), std::as_const(online[i]).view()});
    feaug::cpu_context ctx{.threads = 2};
    feaug::momentum_update(ctx, pairs, m);
    for (std::size_t i = 0; i < got.size(); ++i) {
      const auto want = followed(targets[i], online[i], m);
      CHECK(testing::relative_error(got[i].values(), want.values()) <= testing::tolerance<T>());
      CHECK(got[i].padding_intact());
      if (m == 1) CHECK(got[i].values() == targets[i].values());
      if (m == 0 && std::is_same_v<T, S>) CHECK(got[i].values() == online[i].values());
    }
  }
}

}  // namespace

TEST_CASE("momentum_update matches its formula", "[momentum_update]") {
  check_types<double, double>();
  check_types<float, float>();
  check_types<feaug::half, feaug::half>();
  check_types<feaug::bfloat16, feaug::bfloat16>();
  check_types<float, feaug::half>();
  check_types<float, feaug::bfloat16>();
}

TEST_CASE("momentum_update gives the same bits for any number of threads", "[momentum_update]") {
  // Longer than a block, with and without padding.
  const auto long_row = test_matrix<float>::normal(1, 70001, 1);
  const auto gaps = test_matrix<float>::normal(400, 100, 2, 3);
  const auto online_row = test_matrix<float>::normal(1, 70001, 3);
  const auto online_gaps = test_matrix<float>::normal(400, 100, 4);
  std::vector<double> first;
  for (const int threads : {1, 2, 3}) {
    auto a = long_row;
    auto b = gaps;
    feaug::cpu_context ctx{.threads = threads};
    const std::array<momentum_pair<float>, 2> pairs = {
        momentum_pair<float>(a.view(), online_row.view()),
        momentum_pair<float>(b.view(), online_gaps.view())};
    feaug::momentum_update(ctx, pairs, 0.9);
    std::vector<double> all = a.values();
    for (const double v : b.values()) all.push_back(v);
    if (first.empty()) first = all;
    CHECK(all == first);
    CHECK(b.padding_intact());
    CHECK(testing::relative_error(a.values(), followed(long_row, online_row, 0.9).values()) < 1e-6);
    CHECK(testing::relative_error(b.values(), followed(gaps, online_gaps, 0.9).values()) < 1e-6);
  }
}

TEST_CASE("momentum_update takes vectors, packed or not", "[momentum_update]") {
  std::vector<float> target = {1, 77, 2, 77, 3};
  const std::vector<float> online = {3, 4, 5};
  feaug::vector_view<float> strided(target.data(), 3);
  strided.strides[0] = 2;
  const feaug::vector_view<const float> packed(online.data(), 3);
  feaug::cpu_context ctx{.threads = 1};
  const std::vector<momentum_pair<float>> pairs = {{strided, packed}};
  // A strided target and a packed online vector of the same length.
  feaug::momentum_update(ctx, pairs, 0.5);
  CHECK(target == std::vector<float>{2, 77, 3, 77, 4});
}

TEST_CASE("momentum_update converges to online and stays there", "[momentum_update]") {
  float target = 0.1F;
  float online = 0.3F;
  feaug::cpu_context ctx{.threads = 1};
  const std::array pairs = {
      momentum_pair<float>(feaug::scalar(target), feaug::vector_view<const float>(&online, 1))};
  for (int step = 0; step < 40000; ++step) feaug::momentum_update(ctx, pairs, 0.9995);
  // It stops where a step is less than half an ulp of the target: at a difference of
  // 1.5e-8 / 0.0005 = 3e-5.
  CHECK(target == Approx(0.3).epsilon(2e-4));
  target = 0.3F;
  for (int step = 0; step < 100; ++step) feaug::momentum_update(ctx, pairs, 0.9995);
  CHECK(target == 0.3F);
}

TEST_CASE("edge cases of momentum_update", "[momentum_update]") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  std::vector<float> target = {nan, 1, infinity, 3e38F, 0};
  const std::vector<float> online = {2, nan, 2, -3e38F, 0};
  feaug::cpu_context ctx{.threads = 1};
  const auto update = [&](double m) {
    std::vector<float> got = target;
    const std::vector<momentum_pair<float>> pairs = {
        {feaug::vector_view<float>(got.data(), 5),
         feaug::vector_view<const float>(online.data(), 5)}};
    feaug::momentum_update(ctx, pairs, m);
    return got;
  };
  const auto half_way = update(0.5);
  CHECK((std::isnan(half_way[0]) && std::isnan(half_way[1]) && !std::isfinite(half_way[2])));
  CHECK(half_way[3] == 0);  // no intermediate overflow
  const auto copied = update(0);
  CHECK((copied[0] == 2 && std::isnan(copied[1]) && copied[2] == 2 && copied[3] == -3e38F));
  const auto kept = update(1);
  CHECK((std::isnan(kept[0]) && kept[1] == 1 && kept[2] == infinity && kept[3] == 3e38F));
  const std::vector<momentum_pair<float>> none;
  feaug::momentum_update(ctx, none, 0.5);
}

TEST_CASE("momentum_at is BYOL's schedule", "[momentum_update]") {
  CHECK(feaug::momentum_at(0, 100, 0.996) == Approx(0.996).epsilon(1e-15));
  CHECK(feaug::momentum_at(50, 100, 0.996) == Approx(0.998).epsilon(1e-15));
  CHECK(feaug::momentum_at(100, 100, 0.996) == 1);
  CHECK(feaug::momentum_at(25, 100, 0) == Approx(0.5 - 0.5 * std::sqrt(0.5)).epsilon(1e-15));
  CHECK(message_of([] { feaug::momentum_at(0, 10, 1.5); }) ==
        "momentum_at: base: got 1.5, wanted a number from 0 to 1");
  CHECK(message_of([] { feaug::momentum_at(0, 0, 0.5); }) ==
        "momentum_at: steps: got 0, wanted at least 1");
  CHECK(message_of([] { feaug::momentum_at(11, 10, 0.5); }) ==
        "momentum_at: step: got 11, wanted a number from 0 to 10");
}

TEST_CASE("bad arguments of momentum_update", "[momentum_update][misuse]") {
  test_matrix<float> a(4, 3);
  test_matrix<float> b(4, 3);
  a.fill(5);
  b.fill(5);
  const auto online = test_matrix<float>::normal(4, 3, 1);
  feaug::cpu_context ctx{.threads = 1};
  std::vector<momentum_pair<float>> pairs = {{a.view(), online.view()}, {b.view(), online.view()}};
  const auto says = [&](const std::string& wanted, double momentum = 0.5) {
    CHECK(message_of([&] { feaug::momentum_update(ctx, pairs, momentum); }) ==
          "momentum_update: " + wanted);
    CHECK(a.values() == std::vector<double>(12, 5.0));
    CHECK(b.values() == std::vector<double>(12, 5.0));
  };
  SECTION("momentum") {
    says("momentum: got -0.1, wanted a number from 0 to 1", -0.1);
    says("momentum: got 1.5, wanted a number from 0 to 1", 1.5);
    says("momentum: got nan, wanted a number from 0 to 1",
         std::numeric_limits<double>::quiet_NaN());
  }
  SECTION("shape") {
    pairs[1].online = online.view().rows_from(0, 3);
    says("pairs[1].online: got shape (3, 3), wanted shape (4, 3) as its target");
  }
  SECTION("null") {
    pairs[1].target.data = nullptr;
    says("pairs[1].target: got a null pointer with shape (4, 3), wanted a pointer to its elements");
  }
  SECTION("strides") {
    pairs[0].target.strides[0] = 0;
    says("pairs[0].target: got row stride 0, wanted at least 3 (its columns), since it is written");
  }
  SECTION("a target twice") {
    pairs[1].target = a.view();
    says("pairs[0].target: got memory that overlaps pairs[1].target, wanted memory of its own");
  }
  SECTION("a target that is another pair's online") {
    pairs[0].online = b.view();
    says("pairs[1].target: got memory that overlaps pairs[0].online, wanted memory of its own");
  }
  SECTION("a target that is its own online") {
    pairs[1].online = b.view();
    says("pairs[1].target: got memory that overlaps pairs[1].online, wanted memory of its own");
  }
}

TEST_CASE("momentum_update of interleaved targets", "[momentum_update]") {
  // Two column ranges of one matrix: their address ranges overlap, but they share no element.
  test_matrix<float> all(4, 6);
  const auto online = test_matrix<float>::normal(4, 3, 1);
  const auto part = [&](index_t first) {
    auto view = all.view();
    view.data += first;
    view.extents[1] = 3;
    return view;
  };
  feaug::cpu_context ctx{.threads = 1};
  const std::vector<momentum_pair<float>> pairs = {{part(0), online.view()},
                                                   {part(3), online.view()}};
  feaug::momentum_update(ctx, pairs, 0.0);
  for (index_t j = 0; j < 6; ++j) CHECK(all.get(2, j) == online.get(2, j % 3));
}

}  // namespace momentum_update_test
