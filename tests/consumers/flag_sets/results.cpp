#include "results.hpp"

#include <cstdint>
#include <cstdio>
#include <feaug/cpu/augment/elementwise.hpp>
#include <feaug/cpu/augment/mask.hpp>
#include <feaug/cpu/augment/mix.hpp>
#include <feaug/cpu/augment/noise.hpp>
#include <feaug/cpu/loss/info_nce.hpp>
#include <feaug/cpu/loss/sinkhorn.hpp>
#include <feaug/cpu/queue/nearest.hpp>
#include <feaug/cpu/queue/support_queue.hpp>
#include <type_traits>
#include <vector>

namespace {

using feaug::index_t;
using matrix = feaug::matrix_view<float>;

constexpr index_t rows = 12;
constexpr index_t cols = 21;
constexpr index_t capacity = 40;

/// Numbers that every machine computes alike: multiples of 2⁻¹⁰.
std::vector<float> numbers(index_t count, std::uint32_t seed) {
  std::vector<float> all;
  for (index_t i = 0; i < count; ++i) {
    seed = seed * 1664525U + 1013904223U;
    all.push_back(static_cast<float>(static_cast<std::int32_t>(seed >> 21U) - 1024) / 1024.0F);
  }
  return all;
}

template <class Number>
void add(std::string& to, const char* name, const std::vector<Number>& all) {
  to += name;
  to += ':';
  for (const Number x : all) {
    char text[40];
    const int digits = std::is_same_v<Number, double> ? 17 : 9;
    std::snprintf(text, sizeof(text), " %.*g", digits, static_cast<double>(x));
    to += text;
  }
  to += '\n';
}

/// The slots of the three rows of `support` nearest to each query, in another type.
template <class T>
std::vector<index_t> nearest_slots(feaug::cpu_context& ctx, const std::vector<float>& queries,
                                   const std::vector<float>& support) {
  std::vector<T> both[2];
  for (const float x : queries) both[0].push_back(feaug::store<T>(feaug::compute_t<T>{x}));
  for (const float x : support) both[1].push_back(feaug::store<T>(feaug::compute_t<T>{x}));
  std::vector<index_t> slots(static_cast<std::size_t>(rows * 3));
  const feaug::matrix_view<const T> from(both[1].data(), rows, cols);
  feaug::nearest(ctx, from, feaug::matrix_view<const T>(both[0].data(), rows, cols),
                 {.indices = {slots.data(), rows, 3}}, {.k = 3});
  return slots;
}

}  // namespace

std::string results() {
  std::string all;
  feaug::cpu_context ctx{.threads = 2};
  std::vector<float> x = numbers(rows * cols, 1);
  std::vector<float> y = numbers(rows * cols, 2);
  std::vector<float> out(x.size());
  const matrix view(x.data(), rows, cols);
  const matrix other(y.data(), rows, cols);
  const matrix to(out.data(), rows, cols);

  // A queue that has wrapped around, and rows with equal scores.
  std::vector<float> storage(static_cast<std::size_t>(capacity * cols));
  index_t cursor = 0;
  index_t size = 0;
  const feaug::support_queue<float> queue = {
      .storage = {storage.data(), capacity, cols}, .cursor = &cursor, .size = &size};
  for (std::uint32_t batch = 0; batch < 4; ++batch) {
    std::vector<float> more = numbers(rows * cols, 10 + batch % 3);
    feaug::enqueue(ctx, queue, matrix(more.data(), rows, cols));
  }
  constexpr index_t k = 5;
  std::vector<index_t> slots(static_cast<std::size_t>(rows * k));
  std::vector<float> similarities(slots.size());
  feaug::nearest(
      ctx, queue, view,
      {.indices = {slots.data(), rows, k}, .similarities = {similarities.data(), rows, k}},
      {.k = k});
  add(all, "exact nearest", slots);
  add(all, "near similarities", similarities);

  add(all, "exact nearest of doubles", nearest_slots<double>(ctx, x, y));
  add(all, "exact nearest of halves", nearest_slots<feaug::half>(ctx, x, y));
  add(all, "exact nearest of bfloat16", nearest_slots<feaug::bfloat16>(ctx, x, y));

  const feaug::random_key key{.seed = 7, .step = 3};
  feaug::augment(ctx, feaug::mask{.keep_probability = 0.6F}, view, key, to);
  add(all, "exact mask", out);
  feaug::augment(ctx, feaug::fixed_count_mask{.keep_count = 9}, view, key, to);
  add(all, "exact fixed_count_mask", out);
  feaug::augment(ctx, feaug::uniform_noise{.scale = 0.5F}, view, key, to);
  add(all, "near uniform_noise", out);
  feaug::augment(ctx, feaug::gaussian_noise{.scale = 0.5F}, view, key, to);
  add(all, "near gaussian_noise", out);
  feaug::draw(ctx, feaug::gaussian_noise{}, key, to);
  add(all, "exact normal draws", out);

  feaug::draw(ctx, feaug::uniform_noise{}, key, to);
  add(all, "exact uniform draws", out);
  std::vector<float> weights(static_cast<std::size_t>(rows));
  std::vector<index_t> permutation(weights.size());
  feaug::draw(ctx, feaug::interpolate{.distribution = feaug::weight_distribution::beta}, key,
              feaug::vector_view<float>(weights.data(), rows), {permutation.data(), rows});
  add(all, "exact beta draws", weights);
  add(all, "exact permutation", permutation);

  feaug::sinkhorn(ctx, view, to, {.epsilon = 0.5});
  add(all, "near sinkhorn", out);

  const double loss = feaug::info_nce_with_gradients(
      ctx, feaug::differentiable(view, to), feaug::stop_gradient(other), {.temperature = 0.2});
  add(all, "near info_nce", std::vector<double>{loss});
  add(all, "near gradient", out);

  std::vector<double> z(x.begin(), x.end());
  std::vector<double> dz(z.size());
  const feaug::matrix_view<double> in_double(z.data(), rows, cols);
  const double same = feaug::info_nce_with_gradients(
      ctx, feaug::differentiable(in_double, feaug::matrix_view<double>(dz.data(), rows, cols)),
      feaug::stop_gradient(in_double));
  add(all, "near info_nce of doubles", std::vector<double>{same});
  add(all, "near gradient of doubles", dz);

  // A bad argument is an exception, whatever the flags.
  std::string refused = "nothing";
  try {
    feaug::nearest(ctx, queue, view, {.indices = {slots.data(), rows, k}}, {.k = 0});
  } catch (const feaug::argument_error& error) {
    refused = error.what();
  }
  return all + "exact refusal: " + refused + "\n";
}
