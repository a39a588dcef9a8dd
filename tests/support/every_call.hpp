// A call of every operator, for tests of a property that every operator must have: it can be captured
// in a CUDA graph, does not allocate, needs little stack, has the same bits under other compiler flags.
//
// Include feaug/feaug.hpp or feaug/feaug.cuh first.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "feaug/augment/compose.hpp"
#include "feaug/augment/one_of.hpp"
#include "feaug/augment/variant.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/loss/info_nce.hpp"
#include "feaug/queue/support_queue.hpp"

namespace every_call {

using feaug::index_t;

/// The operators' inputs and outputs, owned by the test. N rows of D columns of T.
template <feaug::memory_space S, feaug::element T = float>
struct call_arrays {
  using C = feaug::compute_t<T>;
  template <class E>
  using vector = feaug::vector_view<E, S>;

  feaug::matrix_view<const T, S> x;  ///< N × D
  feaug::matrix_view<const T, S> y;  ///< N × D
  feaug::matrix_view<T, S> out;      ///< N × D
  feaug::matrix_view<T, S> dx;       ///< N × D
  feaug::matrix_view<T, S> dy;       ///< N × D
  feaug::matrix_view<T, S> storage;  ///< of a queue: any number of rows, D columns
  vector<index_t> counters;          ///< of the queue: its cursor and size
  vector<C> loss_value;              ///< 1
  vector<C> statistics;              ///< 2·N; read by backward passes, never written
  vector<double> potentials;         ///< 2·D; input and output
  vector<double> diagnostics;        ///< 5
  vector<const C> one;               ///< 1 element: the number 1
  vector<const index_t> labels;      ///< N, each below N
  vector<index_t> slots;             ///< N
  vector<double> moments;            ///< D + 2·D²: mean, Σ and its factor
  vector<index_t> seen;              ///< 1: the rows in the moments
  std::uint64_t* step = nullptr;     ///< on a GPU: the random step

  [[nodiscard]] auto both() const {
    return std::pair{feaug::differentiable(x, dx), feaug::differentiable(y, dy)};
  }
  [[nodiscard]] index_t rows() const { return x.rows(); }
  [[nodiscard]] index_t cols() const { return x.cols(); }
  [[nodiscard]] vector<const C> statistics_of(index_t per_row) const {
    return {statistics.data, per_row * rows()};
  }
  [[nodiscard]] vector<double> potentials_of(index_t sides) const {
    return {potentials.data, sides * cols()};
  }
  [[nodiscard]] feaug::matrix_view<index_t, S> slots_matrix() const {
    return {slots.data, rows(), 1};
  }
  [[nodiscard]] feaug::matrix_view<const index_t, S> labels_matrix() const {
    return {labels.data, rows(), 1};
  }
  [[nodiscard]] feaug::random_key key() const {
    if constexpr (S == feaug::memory_space::device) return {.seed = 5, .device_step = step};
    return {.seed = 5, .step = 3};
  }
  [[nodiscard]] feaug::support_queue<T, S> queue() const {
    return {.storage = storage, .cursor = counters.data, .size = counters.data + 1};
  }
  [[nodiscard]] auto covariance() const {
    const index_t d = cols();
    return feaug::running_covariance<S>{.mean = {moments.data, d},
                                        .covariance = {moments.data + d, d, d},
                                        .factor = {moments.data + d + d * d, d, d},
                                        .count = seen.data};
  }
};

/// Advances the random step, where it is in device memory.
template <class Context, class T>
void advance(Context& ctx, const call_arrays<Context::space, T>& m) {
  if constexpr (Context::space == feaug::memory_space::device) advance_step(ctx, m.step);
}

template <class Context, class T = float>
struct named_call {
  std::string name;
  std::function<void(Context&, const call_arrays<Context::space, T>&)> run;
};

template <class Context, class T, class P>
void add_augmentation(std::vector<named_call<Context, T>>& calls, const std::string& name,
                      const P& make) {
  using memory = call_arrays<Context::space, T>;
  calls.push_back({name, [make](Context& ctx, const memory& m) {
                     const feaug::random_key key = m.key();
                     feaug::augment(ctx, make(m), m.x, key, m.out);
                   }});
  calls.push_back({name + " backward", [make](Context& ctx, const memory& m) {
                     const feaug::random_key key = m.key();
                     feaug::augment_backward(ctx, make(m), m.both().first, key, m.y);
                   }});
}

template <class Context, class T = float>
std::vector<named_call<Context, T>> all_calls() {
  constexpr feaug::memory_space S = Context::space;
  using memory = call_arrays<S, T>;
  std::vector<named_call<Context, T>> calls;
  const auto policy = [&](const std::string& name, const auto& value) {
    add_augmentation(calls, name, [value](const memory&) { return value; });
  };
  policy("mask", feaug::mask{.keep_probability = 0.5F, .rescale = feaug::rescale::row});
  policy("fixed_count_mask", feaug::fixed_count_mask{.keep_count = 4});
  policy("block_mask", feaug::block_mask{.block_length = 3});
  policy("gaussian_noise", feaug::gaussian_noise{.relative_to = feaug::noise_scale::row_norm});
  policy("uniform_noise", feaug::uniform_noise{});
  policy("interpolate", feaug::interpolate{.distribution = feaug::weight_distribution::beta});
  policy("extrapolate", feaug::extrapolate{.weight = 1.5F});
  policy("slerp", feaug::slerp{.distribution = feaug::weight_distribution::uniform});
  policy("exchange_moments", feaug::exchange_moments{});
  policy("compose", feaug::compose(feaug::mask{}, feaug::gaussian_noise{}));
  policy("one_of", feaug::one_of({0.5F, 0.5F}, feaug::mask{}, feaug::interpolate{}));
  policy("variant", std::variant<feaug::mask, feaug::uniform_noise>(feaug::uniform_noise{}));
  add_augmentation(calls, "partner", [](const memory& m) {
    return feaug::with_partner(feaug::interpolate{}, m.both().second);
  });
  add_augmentation(calls, "partner of slerp", [](const memory& m) {
    return feaug::with_partner(feaug::slerp{}, m.both().second);
  });
  add_augmentation(calls, "neighbour", [](const memory& m) {
    return feaug::neighbour_from(m.queue(),
                                 {.gradient = feaug::neighbour_gradient::straight_through});
  });
  calls.push_back({"covariance_noise", [](Context& ctx, const memory& m) {
                     const feaug::random_key key = m.key();
                     feaug::update_covariance(ctx, m.covariance(), m.x);
                     feaug::update_covariance(ctx, m.covariance(), m.y);
                     const auto noise = feaug::covariance_noise(m.covariance());
                     feaug::augment(ctx, noise, m.x, key, m.out);
                     feaug::augment_backward(ctx, noise, m.both().first, key, m.y);
                   }});
  add_augmentation(calls, "latent_noise", [](const memory& m) {
    return feaug::with_log_variance(feaug::latent_noise{}, m.both().second);
  });
  calls.push_back({"adversarial_step", [](Context& ctx, const memory& m) {
                     feaug::adversarial_step(ctx, m.x, m.x, m.y, {.renormalize = true}, m.out);
                     feaug::adversarial_backward(ctx, m.both().first, m.y);
                   }});
  add_augmentation(calls, "mutual trimmed_mean_neighbour", [](const memory& m) {
    using how = feaug::mutual_neighbour_of<feaug::trimmed_mean_neighbour>;
    return feaug::neighbour_from(
        m.queue(), how{.of = {.fallback = feaug::neighbour_fallback::query}, .queries = 2},
        {.indices = m.slots});
  });
  add_augmentation(calls, "pseudo_neighbour of random_neighbour", [](const memory& m) {
    using how = feaug::pseudo_neighbour_of<feaug::random_neighbour>;
    return feaug::neighbour_from(
        m.queue(), how{.of = {.k = 3}, .weight = 0.5F, .noise = 0.1F, .normalize = true});
  });
  add_augmentation(calls, "soft_neighbour",
                   [](const memory& m) { return feaug::soft_neighbour_from(m.queue()); });
  calls.push_back({"l2_normalize", [](Context& ctx, const memory& m) {
                     feaug::l2_normalize(ctx, m.x, m.out);
                     feaug::l2_normalize_backward(ctx, m.both().first, m.y);
                   }});
  calls.push_back({"enqueue", [](Context& ctx, const memory& m) {
                     feaug::enqueue(ctx, m.queue(), m.x);
                     advance(ctx, m);
                   }});
  calls.push_back({"nearest and gather", [](Context& ctx, const memory& m) {
                     feaug::nearest(ctx, m.queue(), m.x, {.indices = m.slots_matrix()});
                     feaug::gather(ctx, m.queue(), feaug::vector_view<const index_t, S>(m.slots),
                                   {.values = m.out});
                   }});
  calls.push_back({"nearest of a matrix", [](Context& ctx, const memory& m) {
                     feaug::nearest(ctx, m.y, m.x, {.values = m.out});
                   }});
  const auto loss = [&](const std::string& name, index_t statistics_per_row, const auto& forward,
                        const auto& backward, const auto& with_gradients) {
    calls.push_back(
        {name, [forward](Context& ctx, const memory& m) { forward(ctx, m.x, m.y, m.loss_value); }});
    calls.push_back(
        {name + "_backward", [backward, statistics_per_row](Context& ctx, const memory& m) {
           const auto [a, b] = m.both();
           backward(ctx, a, b, m.statistics_of(statistics_per_row), m.one);
         }});
    calls.push_back({name + "_with_gradients", [with_gradients](Context& ctx, const memory& m) {
                       const auto [a, b] = m.both();
                       with_gradients(ctx, a, b, m.loss_value);
                     }});
  };
  loss(
      "info_nce", 1, [](auto& ctx, const auto&... x) { feaug::info_nce(ctx, x...); },
      [](auto& ctx, const auto&... x) { feaug::info_nce_backward(ctx, x...); },
      [](auto& ctx, const auto&... x) { feaug::info_nce_with_gradients(ctx, x...); });
  loss(
      "symmetric_info_nce", 2,
      [](auto& ctx, const auto&... x) { feaug::symmetric_info_nce(ctx, x...); },
      [](auto& ctx, const auto&... x) { feaug::symmetric_info_nce_backward(ctx, x...); },
      [](auto& ctx, const auto&... x) { feaug::symmetric_info_nce_with_gradients(ctx, x...); });
  loss(
      "nt_xent", 2, [](auto& ctx, const auto&... x) { feaug::nt_xent(ctx, x...); },
      [](auto& ctx, const auto&... x) { feaug::nt_xent_backward(ctx, x...); },
      [](auto& ctx, const auto&... x) { feaug::nt_xent_with_gradients(ctx, x...); });
  loss(
      "negative_cosine", 0, [](auto& ctx, const auto&... x) { feaug::negative_cosine(ctx, x...); },
      [](auto& ctx, const auto& a, const auto& b, const auto& /*none*/, const auto& cotangent) {
        feaug::negative_cosine_backward(ctx, a, b, cotangent);
      },
      [](auto& ctx, const auto&... x) { feaug::negative_cosine_with_gradients(ctx, x...); });
  loss(
      "kl_to_standard_normal", 0,
      [](auto& ctx, const auto&... x) { feaug::kl_to_standard_normal(ctx, x...); },
      [](auto& ctx, const auto& a, const auto& b, const auto& /*none*/, const auto& cotangent) {
        feaug::kl_to_standard_normal_backward(ctx, a, b, cotangent);
      },
      [](auto& ctx, const auto&... x) { feaug::kl_to_standard_normal_with_gradients(ctx, x...); });
  loss(
      "sigmoid", 0, [](auto& ctx, const auto&... x) { feaug::sigmoid(ctx, x...); },
      [](auto& ctx, const auto& a, const auto& b, const auto& /*none*/, const auto& cotangent) {
        feaug::sigmoid_backward(ctx, a, b, cotangent);
      },
      [](auto& ctx, const auto&... x) { feaug::sigmoid_with_gradients(ctx, x...); });
  loss(
      "barlow_twins", 0, [](auto& ctx, const auto&... x) { feaug::barlow_twins(ctx, x...); },
      [](auto& ctx, const auto& a, const auto& b, const auto& /*none*/, const auto& cotangent) {
        feaug::barlow_twins_backward(ctx, a, b, cotangent);
      },
      [](auto& ctx, const auto&... x) { feaug::barlow_twins_with_gradients(ctx, x...); });
  loss(
      "vicreg", 0, [](auto& ctx, const auto&... x) { feaug::vicreg(ctx, x...); },
      [](auto& ctx, const auto& a, const auto& b, const auto& /*none*/, const auto& cotangent) {
        feaug::vicreg_backward(ctx, a, b, cotangent);
      },
      [](auto& ctx, const auto&... x) { feaug::vicreg_with_gradients(ctx, x...); });
  loss(
      "hypersphere", 0, [](auto& ctx, const auto&... x) { feaug::hypersphere(ctx, x...); },
      [](auto& ctx, const auto& a, const auto& b, const auto& /*none*/, const auto& cotangent) {
        feaug::hypersphere_backward(ctx, a, b, cotangent);
      },
      [](auto& ctx, const auto&... x) { feaug::hypersphere_with_gradients(ctx, x...); });
  calls.push_back({"supervised_contrastive", [](Context& ctx, const memory& m) {
                     const feaug::vector_view<const index_t, S> labels = m.labels;
                     feaug::supervised_contrastive_with_gradients(ctx, m.both().first, labels,
                                                                  m.loss_value);
                     feaug::supervised_contrastive_backward(ctx, m.both().second, labels,
                                                            m.statistics_of(1), m.one);
                   }});
  calls.push_back({"sinkhorn", [](Context& ctx, const memory& m) {
                     feaug::sinkhorn(ctx, m.x, m.out);
                     feaug::sinkhorn_potentials(ctx, m.x, m.potentials_of(1), {.iterations = 0});
                   }});
  calls.push_back({"assignment_loss", [](Context& ctx, const memory& m) {
                     const feaug::vector_view<double, S> potentials = m.potentials_of(1);
                     feaug::assignment_loss_with_gradients(
                         ctx, m.both().first, {.scores = m.y, .potentials = potentials},
                         m.loss_value);
                     feaug::assignment_loss_backward(
                         ctx, m.both().second, {.scores = m.x, .potentials = potentials}, m.one);
                   }});
  calls.push_back({"swapped_assignment", [](Context& ctx, const memory& m) {
                     feaug::swapped_assignment(ctx, m.x, m.y, m.loss_value);
                   }});
  calls.push_back({"swapped_assignment_backward", [](Context& ctx, const memory& m) {
                     const auto [a, b] = m.both();
                     feaug::swapped_assignment_backward(ctx, a, b, m.potentials_of(2), m.one);
                   }});
  calls.push_back({"swapped_assignment_with_gradients", [](Context& ctx, const memory& m) {
                     const auto [a, b] = m.both();
                     feaug::swapped_assignment_with_gradients(ctx, a, b, m.loss_value);
                   }});
  calls.push_back({"diagnostics", [](Context& ctx, const memory& m) {
                     const auto one = [&](index_t at) {
                       return feaug::vector_view<double, S>(m.diagnostics.data + at, 1);
                     };
                     feaug::alignment(ctx, m.x, m.y, one(0));
                     feaug::uniformity(ctx, m.x, one(1));
                     feaug::feature_deviation(ctx, m.x, one(2));
                     const feaug::matrix_view<const index_t, S> neighbours = m.labels_matrix();
                     const feaug::vector_view<const index_t, S> labels = m.labels;
                     feaug::neighbour_accuracy(ctx, neighbours, labels, labels, one(3));
                     feaug::effective_rank(ctx, m.x, one(4));
                   }});
  calls.push_back({"momentum_update", [](Context& ctx, const memory& m) {
                     const std::array<feaug::momentum_pair<T, T, S>, 1> pairs = {
                         feaug::momentum_pair<T, T, S>(m.out, m.x)};
                     feaug::momentum_update(ctx, pairs, 0.0);
                     if constexpr (S == feaug::memory_space::device)
                       feaug::momentum_update(ctx, pairs, m.one);  // momentum 1: no change
                   }});
  calls.push_back(
      {"hard_negative_info_nce", [](Context& ctx, const memory& m) {
         const feaug::synthetic_negatives<T, S> synthesis = {
             .hardest = 5, .counts = {.interpolated = 2, .mixed = 2, .noisy = 1}, .key = m.key()};
         const feaug::info_nce_options<T, S> options = {
             .in_batch_negatives = false, .negatives = feaug::stop_gradient(m.storage)};
         const auto [a, b] = m.both();
         feaug::hard_negative_info_nce_with_gradients(ctx, a, feaug::stop_gradient(b.value),
                                                      synthesis, m.loss_value, options);
         feaug::hard_negative_info_nce_backward(ctx, feaug::stop_gradient(a.value), b, synthesis,
                                                m.statistics_of(1), m.one, options);
         advance(ctx, m);
       }});
  calls.push_back(
      {"mean_shift", [](Context& ctx, const memory& m) {
         const feaug::matrix_view<index_t, S> slots = m.slots_matrix();
         feaug::mean_shift(ctx, m.x, m.y, m.queue(), m.loss_value, {.k = 1}, slots);
         feaug::mean_shift_backward(ctx, m.both().first, m.queue(), slots, m.one, {.k = 1});
         feaug::mean_shift_with_gradients(ctx, m.both().second, m.x, m.queue(), m.loss_value);
       }});
  calls.push_back({"relation_distillation", [](Context& ctx, const memory& m) {
                     const auto [a, b] = m.both();
                     feaug::relation_distillation(ctx, a.value, b.value, m.queue(), m.loss_value);
                     feaug::relation_distillation_backward(ctx, a, b.value, m.queue(), m.one);
                     feaug::relation_distillation_with_gradients(ctx, b, a.value, m.queue(),
                                                                 m.loss_value);
                   }});
  calls.push_back({"soft_neighbour_contrast", [](Context& ctx, const memory& m) {
                     const auto [a, b] = m.both();
                     feaug::soft_neighbour_contrast(ctx, a.value, b.value, b.value, m.loss_value);
                     feaug::soft_neighbour_contrast_backward(ctx, a, b.value, b.value, m.one);
                     feaug::soft_neighbour_contrast_with_gradients(
                         ctx, feaug::stop_gradient(a.value), a.value, a.value, m.loss_value,
                         {.attention = b});
                   }});
  calls.push_back({"nt_xent with weights", [](Context& ctx, const memory& m) {
                     const auto [a, b] = m.both();
                     feaug::nt_xent_with_gradients(ctx, a, b, m.loss_value,
                                                   {.decoupled = true, .positive_weighting = 0.5});
                   }});
  calls.push_back({"masked_prediction", [](Context& ctx, const memory& m) {
                     const feaug::random_key key = m.key();
                     const auto [a, b] = m.both();
                     const feaug::fixed_count_mask mask{.keep_count = 4};
                     feaug::masked_prediction_with_gradients(ctx, a, feaug::stop_gradient(b.value),
                                                             mask, key, m.loss_value);
                     feaug::masked_prediction_backward(ctx, feaug::stop_gradient(a.value), b, mask,
                                                       key, m.one);
                   }});
  calls.push_back({"step", [](Context& ctx, const memory& m) {
                     const auto [a, b] = m.both();
                     feaug::no_predictor none;
                     feaug::step(ctx, {.architecture = feaug::architecture::basic}, a,
                                 feaug::stop_gradient(b.value), none, feaug::mask{}, m.key(),
                                 m.loss_value);
                   }});
  return calls;
}

}  // namespace every_call
