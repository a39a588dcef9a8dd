// Every augmentation on a GPU against the CPU: values, gradients, selections, aliases, any
// schedule.
#include "feaug/augment/augmentation.hpp"

#include <catch2/catch.hpp>
#include <limits>
#include <string>
#include <variant>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/augment/compose.hpp"
#include "feaug/augment/one_of.hpp"
#include "feaug/augment/variant.hpp"
#include "feaug/cpu/augment/elementwise.hpp"
#include "feaug/cpu/augment/l2_normalize.hpp"
#include "feaug/cpu/augment/mask.hpp"
#include "feaug/cpu/augment/mix.hpp"
#include "feaug/cpu/augment/noise.hpp"
#include "feaug/cuda/augment/elementwise.cuh"
#include "feaug/cuda/augment/l2_normalize.cuh"
#include "feaug/cuda/augment/mask.cuh"
#include "feaug/cuda/augment/mix.cuh"
#include "feaug/cuda/augment/noise.cuh"
#include "support/message_of.hpp"

namespace augmentation_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::index_t;
using feaug::random_key;
using testing::test_matrix;

namespace {

constexpr random_key key{.seed = 11, .step = 5, .stream = 2, .row_offset = 3};

/// A user's policy.
struct square_some {
  static constexpr std::string_view name = "square_some";
  using draw = feaug::uniform_draw;
  float share = 0.5F;
  template <class C>
  FEAUG_HD C forward(C x, draw d) const {
    return d.value < share ? x * x : x;
  }
  template <class C>
  FEAUG_HD C backward(C g, C x, draw d) const {
    return d.value < share ? 2 * x * g : g;
  }
};

struct shape {
  index_t rows;
  index_t cols;
  index_t padding;
};
const shape shapes[] = {{0, 5, 0},  {3, 0, 0},  {1, 1, 0},   {1, 7, 1},
                        {37, 5, 3}, {6, 64, 0}, {33, 131, 1}};

/// `host_policy` on the CPU, `device_policy` on the device: the same values and gradients, with
/// overwrite and accumulate.
template <class T, class Host, class Device>
void compare(const Host& host_policy, const Device& device_policy, const test_matrix<T>& x) {
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  const auto g = test_matrix<T>::normal(x.rows(), x.cols(), 2, 2);
  test_matrix<T> want(x.rows(), x.cols(), 3);
  const device_copy<T> got(want);
  const device_copy<T> device_x(x);
  const device_copy<T> device_g(g);
  feaug::augment(cpu, host_policy, x.view(), key, want.view());
  feaug::augment(gpu, device_policy, device_x.const_view(), key, got.view());
  CHECK(got.host().padding_intact());
  CHECK(testing::relative_error(got.host().values(), want.values()) <=
        testing::tolerance<T>() / 100);

  for (const auto mode : {feaug::gradient_mode::overwrite, feaug::gradient_mode::accumulate}) {
    auto want_dx = test_matrix<T>::normal(x.rows(), x.cols(), 3, 1);
    const device_copy<T> got_dx(want_dx);
    const feaug::operand<T> host_x = {x.view(), want_dx.view(), mode};
    const feaug::operand<T, 2, feaug::memory_space::device> on_device = {device_x.const_view(),
                                                                         got_dx.view(), mode};
    feaug::augment_backward(cpu, host_policy, host_x, key, g.view());
    feaug::augment_backward(gpu, device_policy, on_device, key, device_g.const_view());
    CHECK(got_dx.host().padding_intact());
    CHECK(testing::relative_error(got_dx.host().values(), want_dx.values()) <=
          testing::tolerance<T>() / 100);
  }
}

template <class T, class Policy>
void compare(const Policy& policy, const test_matrix<T>& x) {
  compare<T>(policy, policy, x);
}

}  // namespace

TEMPLATE_TEST_CASE("augmentations do what they do on the CPU", "[cuda][augment]", double, float,
                   feaug::half, feaug::bfloat16) {
  using T = TestType;
  for (const shape& s : shapes) {
    CAPTURE(s.rows, s.cols);
    const auto x = test_matrix<T>::normal(s.rows, s.cols, 1, s.padding);
    compare(feaug::keep_features{}, x);
    compare(square_some{.share = 0.3F}, x);
    compare(feaug::mask{.keep_probability = 0.7F}, x);
    compare(feaug::mask{.keep_probability = 0.7F, .rescale = feaug::rescale::row}, x);
    for (const index_t count : {index_t{0}, s.cols / 2, s.cols}) {
      compare(feaug::fixed_count_mask{.keep_count = count, .rescale = feaug::rescale::row}, x);
      compare(feaug::block_mask{.block_length = count, .rescale = feaug::rescale::row}, x);
    }
    compare(feaug::gaussian_noise{.scale = 0.3F}, x);
    compare(feaug::gaussian_noise{.scale = 0.3F, .relative_to = feaug::noise_scale::row_norm}, x);
    compare(feaug::uniform_noise{.scale = 0.3F}, x);
    for (const auto per : {feaug::draw_per::row, feaug::draw_per::call}) {
      compare(feaug::interpolate{.weight = 0.3F, .per = per}, x);
      compare(
          feaug::interpolate{
              .distribution = feaug::weight_distribution::beta, .alpha = 0.5F, .per = per},
          x);
      compare(feaug::extrapolate{.distribution = feaug::weight_distribution::uniform,
                                 .low = 1.0F,
                                 .high = 2.0F,
                                 .per = per},
              x);
    }
    compare(feaug::compose(feaug::mask{.keep_probability = 0.6F}, feaug::interpolate{},
                           square_some{}, feaug::gaussian_noise{}),
            x);
    compare(feaug::one_of({0.3F, 0.3F, 0.4F}, feaug::mask{.keep_probability = 0.5F}, square_some{},
                          feaug::uniform_noise{}),
            x);
    compare(feaug::one_of({0.3F, 0.7F}, feaug::compose(feaug::interpolate{}, square_some{}),
                          feaug::extrapolate{.weight = 1.5F}),
            x);
    using held = std::variant<feaug::keep_features, feaug::interpolate, square_some>;
    compare(held(square_some{}), x);
    compare(feaug::one_of({0.5F, 0.5F}, held(square_some{}), feaug::interpolate{}), x);
  }
}

TEMPLATE_TEST_CASE("drawn masks, noises and weights", "[cuda][augment]", double, float) {
  using T = TestType;
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  for (const shape& s : shapes) {
    CAPTURE(s.rows, s.cols);
    const auto x = test_matrix<T>::normal(s.rows, s.cols, 1, s.padding);
    test_matrix<T> keep(s.rows, s.cols, 2);
    const device_copy<T> device_keep(keep);
    const feaug::fixed_count_mask half_of{.keep_count = s.cols / 2};
    feaug::draw(cpu, half_of, key, keep.view());
    feaug::draw(gpu, half_of, key, device_keep.view());
    CHECK(device_keep.host().values() == keep.values());
    compare<T>(feaug::drawn_mask(keep.view(), feaug::rescale::row),
               feaug::drawn_mask(device_keep.view(), feaug::rescale::row), x);

    test_matrix<T> epsilon(s.rows, s.cols, 1);
    const device_copy<T> device_epsilon(epsilon);
    feaug::draw(cpu, feaug::gaussian_noise{}, key, epsilon.view());
    feaug::draw(gpu, feaug::gaussian_noise{}, key, device_epsilon.view());
    CHECK(device_epsilon.host().values() == epsilon.values());
    compare<T>(feaug::drawn_noise(epsilon.view(), 0.2F),
               feaug::drawn_noise(device_epsilon.view(), 0.2F), x);

    std::vector<T> weights(static_cast<std::size_t>(s.rows));
    std::vector<index_t> order(weights.size());
    const device_array<T> device_weights(weights);
    const device_array<index_t> device_order(order);
    const feaug::interpolate mix{.distribution = feaug::weight_distribution::beta};
    feaug::draw(cpu, mix, key, feaug::vector_view<T>(weights.data(), s.rows),
                feaug::vector_view<index_t>(order.data(), s.rows));
    const feaug::device_vector<T> drawn(device_weights.data(), s.rows);
    feaug::draw(gpu, mix, key, drawn, feaug::device_vector<index_t>(device_order.data(), s.rows));
    CHECK(device_weights.to_host() == weights);
    CHECK(device_order.to_host() == order);

    const auto partner = test_matrix<T>::normal(s.rows, s.cols, 9);
    const device_copy<T> device_partner(partner);
    auto want = test_matrix<T>::normal(s.rows, s.cols, 10, 1);
    const device_copy<T> got(want);
    if (s.rows * s.cols == 0) continue;
    compare<T>(
        feaug::with_weights(mix, feaug::accumulate(partner.view(), want.view()),
                            feaug::vector_view<const T>(weights.data(), s.rows)),
        feaug::with_weights(mix, feaug::accumulate(device_partner.view(), got.view()), drawn), x);
    CHECK(testing::relative_error(got.host().values(), want.values()) <= testing::tolerance<T>());
  }
}

TEST_CASE("one_of draws the CPU's choice, and takes it", "[cuda][augment]") {
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  const auto x = test_matrix<float>::normal(300, 6, 1);
  const auto of_two = feaug::one_of({0.3F, 0.7F}, square_some{}, feaug::interpolate{});
  std::vector<index_t> choice(300, -5);
  const device_array<index_t> device_choice(choice);
  const feaug::device_vector<index_t> drawn(device_choice.data(), 300);
  feaug::draw(cpu, of_two, key, {choice.data(), 300});
  feaug::draw(gpu, of_two, key, drawn);
  CHECK(device_choice.to_host() == choice);
  compare<float>(of_two, feaug::drawn_one_of(drawn, square_some{}, feaug::interpolate{}), x);
}

TEST_CASE("augmentations may write where they read, and the order of threads is nothing",
          "[cuda][augment]") {
  const auto x = test_matrix<float>::normal(40, 70, 4, 2);
  const auto policy =
      feaug::compose(feaug::fixed_count_mask{.keep_count = 30, .rescale = feaug::rescale::row},
                     feaug::gaussian_noise{.relative_to = feaug::noise_scale::row_norm});
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    feaug::cuda_context gpu;
    const device_copy<float> in_place(x);
    feaug::augment(gpu, policy, in_place.const_view(), key, in_place.view());
    feaug::l2_normalize(gpu, in_place.const_view(), in_place.view());
    if (first.empty()) first = in_place.host().values();
    CHECK(in_place.host().values() == first);
  });
}

TEMPLATE_TEST_CASE("unit rows are the CPU's to the last bit", "[cuda][augment]", double, float,
                   feaug::half, feaug::bfloat16) {
  using T = TestType;
  auto x = test_matrix<T>::normal(70, 45, 5, 2);
  x.fill_row(3, 0);
  x.set(4, 1, std::numeric_limits<double>::quiet_NaN());
  x.set(5, 2, std::numeric_limits<double>::infinity());
  if constexpr (std::is_same_v<T, double>) x.fill_row(6, 1e200);
  if constexpr (std::is_same_v<T, float>) x.fill_row(6, 1e-30);
  feaug::cpu_context cpu{.threads = 1};
  feaug::cuda_context gpu;
  test_matrix<T> want(70, 45, 1);
  const device_copy<T> device_x(x);
  const device_copy<T> got(want);
  feaug::l2_normalize(cpu, x.view(), want.view());
  feaug::l2_normalize(gpu, device_x.const_view(), got.view());
  const auto unit = got.host();
  for (index_t i = 0; i < x.rows(); ++i) {
    for (index_t j = 0; j < x.cols(); ++j) {
      const bool same = unit.get(i, j) == want.get(i, j) ||
                        (std::isnan(unit.get(i, j)) && std::isnan(want.get(i, j)));
      CAPTURE(i, j);
      REQUIRE(same);
    }
  }
  const auto g = test_matrix<T>::normal(70, 45, 6);
  const device_copy<T> device_g(g);
  test_matrix<T> want_dx(70, 45);
  const device_copy<T> got_dx(want_dx);
  feaug::l2_normalize_backward(cpu, feaug::differentiable(x.view(), want_dx.view()), g.view());
  feaug::l2_normalize_backward(gpu, feaug::differentiable(device_x.const_view(), got_dx.view()),
                               device_g.const_view());
  CHECK(testing::relative_error(got_dx.host().values(), want_dx.values()) <=
        testing::tolerance<T>());
}

TEST_CASE("bad arguments are refused before anything runs", "[cuda][augment]") {
  feaug::cuda_context gpu;
  const auto x = test_matrix<float>::normal(4, 6, 1);
  const device_copy<float> device_x(x);
  const device_copy<float> out(x);
  const auto says = [&](const std::string& part, const auto& call) {
    const std::string message = testing::message_of(call);
    CAPTURE(message);
    CHECK(message.find(part) != std::string::npos);
  };
  // A pointer into the host's memory.
  const feaug::device_matrix<const float> on_host(x.memory().data(), 4, 6);
  says("mask: x: got a pointer to ordinary host memory",
       [&] { feaug::augment(gpu, feaug::mask{}, on_host, key, out.view()); });
  says("l2_normalize: x: got a pointer to ordinary host memory",
       [&] { feaug::l2_normalize(gpu, on_host, out.view()); });
  says("keep_probability", [&] {
    feaug::augment(gpu, feaug::mask{.keep_probability = 2}, device_x.const_view(), key, out.view());
  });
  says("shape (4, 6) as x", [&] {
    feaug::augment(gpu, feaug::mask{}, device_x.const_view(), key,
                   feaug::device_matrix<float>(out.view().data, 3, 6));
  });
  says("overlaps x", [&] {
    feaug::augment(gpu, feaug::interpolate{}, device_x.const_view(), key, device_x.view());
  });
  CHECK(out.host().values() == x.values());
}

}  // namespace augmentation_test
