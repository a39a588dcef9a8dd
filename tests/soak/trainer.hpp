// A small training of embeddings, whose whole state is bytes that can be saved and restored.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "feaug/feaug.hpp"

namespace soak {

using feaug::index_t;

/// Everything that a checkpoint of a training has. Copying it is saving it.
struct state {
  static constexpr index_t samples = 96;
  static constexpr index_t cols = 20;
  static constexpr index_t capacity = 257;  // no multiple of a batch: batches wrap around

  std::uint64_t steps = 0;
  index_t cursor = 0;
  index_t size = 0;
  index_t seen = 0;
  std::vector<float> embeddings = std::vector<float>(samples * cols);
  std::vector<float> targets = std::vector<float>(samples * cols);  // their moving averages
  std::vector<float> storage = std::vector<float>(capacity * cols);
  std::vector<std::int64_t> ids = std::vector<std::int64_t>(capacity);
  std::vector<double> mean = std::vector<double>(cols);
  std::vector<double> variance = std::vector<double>(cols);
  std::vector<double> deviation = std::vector<double>(cols);

  friend bool operator==(const state& a, const state& b) {
    const auto same = [](const auto& x, const auto& y) {
      return std::memcmp(x.data(), y.data(), x.size() * sizeof(x[0])) == 0;
    };
    return a.steps == b.steps && a.cursor == b.cursor && a.size == b.size && a.seen == b.seen &&
           same(a.embeddings, b.embeddings) && same(a.targets, b.targets) &&
           same(a.storage, b.storage) && same(a.ids, b.ids) && same(a.mean, b.mean) &&
           same(a.variance, b.variance) && same(a.deviation, b.deviation);
  }
};

/// Trains embeddings: each step takes another number of rows, another method and augmentation.
class trainer {
 public:
  /// The first state; the embeddings are drawn from the seed.
  trainer(std::uint64_t seed, int threads) : seed_(seed), ctx_{.threads = threads} {
    feaug::matrix_view<float> rows = matrix(state_.embeddings, 0, state::samples);
    const feaug::random_key key{.seed = seed, .stream = 100};
    feaug::augment(ctx_, feaug::gaussian_noise{.scale = 1}, rows, key, rows);
    state_.targets = state_.embeddings;
  }
  /// Goes on from a saved state, with another context.
  trainer(std::uint64_t seed, int threads, const state& saved)
      : state_(saved), seed_(seed), ctx_{.threads = threads} {
    feaug::rebuild_shadow(ctx_, queue());
  }

  [[nodiscard]] const state& now() const { return state_; }
  [[nodiscard]] float loss() const { return loss_; }

  void step() {
    const std::uint64_t n = state_.steps;
    const auto rows = static_cast<index_t>(2 + (n * 7919 + seed_) % 23);
    const auto first = static_cast<index_t>((n * 104729) % (state::samples - 24));
    const feaug::random_key key{.seed = seed_, .step = n};
    feaug::matrix_view<float> x = matrix(state_.embeddings, first, rows);
    feaug::matrix_view<float> view_1 = matrix(first_view_, 0, rows);
    feaug::matrix_view<float> view_2 = matrix(second_view_, 0, rows);
    const feaug::gaussian_noise noise{.scale = 0.1F};
    feaug::augment(ctx_, noise, x, key, view_1);
    feaug::augment(ctx_, noise, matrix(state_.targets, first, rows), key.streams_later(10), view_2);
    train(n % 6, feaug::differentiable(view_1, matrix(gradient_, 0, rows)), view_2,
          key.streams_later(20));
    for (index_t i = 0; i < rows; ++i) {
      for (index_t j = 0; j < state::cols; ++j) x.row(i)[j] -= 0.05F * gradient_[at(i, j)];
    }
    feaug::l2_normalize(ctx_, x, x);
    const std::vector<feaug::momentum_pair<float, float>> averages = {
        {matrix(state_.targets, first, rows), x}};
    feaug::momentum_update(ctx_, averages, 0.9);
    for (index_t i = 0; i < rows; ++i) batch_ids_[static_cast<std::size_t>(i)] = first + i;
    feaug::enqueue(ctx_, queue(), view_2, {.ids = {batch_ids_.data(), rows}});
    feaug::update_covariance(ctx_, variance(), x);
    ++state_.steps;
  }

 private:
  using operand = feaug::operand<float>;
  using matrix_view = feaug::matrix_view<float>;

  static std::size_t at(index_t i, index_t j) {
    return static_cast<std::size_t>(i * state::cols + j);
  }
  static matrix_view matrix(std::vector<float>& memory, index_t first, index_t rows) {
    return {&memory[at(first, 0)], rows, state::cols};
  }
  feaug::support_queue<float> queue() {
    return {.storage = matrix(state_.storage, 0, state::capacity),
            .cursor = &state_.cursor,
            .size = &state_.size,
            .ids = {state_.ids.data(), state::capacity},
            .shadow = {.codes = {codes_.data(), static_cast<index_t>(codes_.size())},
                       .bounds = {bounds_.data(), static_cast<index_t>(bounds_.size())}}};
  }
  feaug::running_variance<> variance() {
    return {.mean = {state_.mean.data(), state::cols},
            .variance = {state_.variance.data(), state::cols},
            .deviation = {state_.deviation.data(), state::cols},
            .count = &state_.seen};
  }

  template <class Augmentation>
  void contrast(const operand& a, const matrix_view& b, const Augmentation& augmentation,
                const feaug::random_key& key) {
    feaug::no_predictor none;
    loss_ = feaug::step(ctx_, {.architecture = feaug::architecture::basic}, a,
                        feaug::stop_gradient(b), none, augmentation, key);
  }

  void train(std::uint64_t kind, const operand& a, const matrix_view& b,
             const feaug::random_key& key) {
    const bool has_rows = state_.size >= 8;
    switch (has_rows ? kind : 1) {
      case 0:
        return contrast(a, b, feaug::neighbour_from(queue()), key);
      case 1:
        return contrast(a, b, feaug::one_of({0.5F, 0.5F}, feaug::mask{}, feaug::interpolate{}),
                        key);
      case 2:
        return contrast(a, b, feaug::soft_neighbour_from(queue(), feaug::soft_neighbour{.k = 3}),
                        key);
      case 3:
        return contrast(a, b, feaug::covariance_noise(variance(), 0.3F), key);
      case 4: {
        const matrix_view filled = matrix(state_.storage, 0, state_.size);
        loss_ = feaug::info_nce_with_gradients(
            ctx_, a, feaug::stop_gradient(b),
            {.in_batch_negatives = false, .negatives = feaug::stop_gradient(filled)});
        return;
      }
      default:
        loss_ = feaug::mean_shift_with_gradients(ctx_, a, b, queue(), {.k = 5});
    }
  }

  state state_;
  std::uint64_t seed_;
  feaug::cpu_context ctx_;
  float loss_ = 0;
  // Of one step only, so not part of the state.
  std::vector<float> first_view_ = std::vector<float>(24 * state::cols);
  std::vector<float> second_view_ = std::vector<float>(24 * state::cols);
  std::vector<float> gradient_ = std::vector<float>(24 * state::cols);
  std::vector<std::int64_t> batch_ids_ = std::vector<std::int64_t>(24);
  std::vector<std::uint8_t> codes_ = std::vector<std::uint8_t>(
      static_cast<std::size_t>(feaug::shadow_codes(state::capacity, state::cols)));
  std::vector<float> bounds_ =
      std::vector<float>(static_cast<std::size_t>(feaug::shadow_bounds(state::capacity)));
};

}  // namespace soak
