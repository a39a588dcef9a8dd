#include "augmented.hpp"

#include <cmath>

#include "feaug/feaug.hpp"

namespace gallery {
namespace {

using network::index;
using network::matrix;

class painter {
 public:
  painter(feaug::cpu_context& ctx, scene& from, const feaug::random_key& key)
      : ctx_(ctx), from_(from), key_(key) {}

  /// Adds the scene, augmented with a policy.
  template <feaug::augmentation P>
  void add(const char* name, const P& policy) {
    feaug::augment(ctx_, policy, view(from_.rows), key_, view(place(name)));
  }

  /// Adds an output matrix, for augmentations that have their own function.
  matrix<float>& place(const char* name) {
    all_.push_back({name, matrix<float>(from_.rows.rows(), from_.rows.cols())});
    return all_.back().rows;
  }

  std::vector<named_rows> all() && { return std::move(all_); }

 private:
  feaug::cpu_context& ctx_;
  scene& from_;
  feaug::random_key key_;
  std::vector<named_rows> all_;
};

/// Calls use(name, policy) for every kind of mask.
template <class Use>
void for_each_mask(index cols, const Use& use) {
  use("mask", feaug::mask{.keep_probability = 0.7F});
  use("fixed_count_mask", feaug::fixed_count_mask{.keep_count = (cols + 1) / 2});
  use("block_mask", feaug::block_mask{.block_length = (cols + 3) / 4});
}

void add_element_wise(painter& paint, index cols) {
  for_each_mask(cols, [&](const char* name, const auto& policy) { paint.add(name, policy); });
  // Noise of σ per feature has length about σ·√D. This scale gives the same share of a unit row in
  // any dimension.
  const float scale = 0.2F / std::sqrt(static_cast<float>(cols) / 2);
  paint.add("gaussian_noise", feaug::gaussian_noise{.scale = scale});
  paint.add("uniform_noise", feaug::uniform_noise{.scale = 1.5F * scale,
                                                  .relative_to = feaug::noise_scale::row_norm});
}

/// Noise with the covariance of the queue's features.
void add_learned_noise(feaug::cpu_context& ctx, painter& paint, scene& from) {
  const index cols = from.rows.cols();
  matrix<double> covariance(cols, cols);
  matrix<double> factor(cols, cols);
  matrix<double> mean(1, cols);
  feaug::index_t count = 0;
  const feaug::running_covariance<> spread{.mean = {mean.data(), cols},
                                           .covariance = {covariance.data(), cols, cols},
                                           .factor = {factor.data(), cols, cols},
                                           .count = &count};
  feaug::update_covariance(ctx, spread, view(from.queue));
  paint.add("covariance_noise", feaug::covariance_noise(spread, 0.3F));

  // Stands in for a learned log-variance: half of each feature's standard deviation, for every row.
  matrix<float> log_variance(from.rows.rows(), cols);
  for (index j = 0; j < cols; ++j)
    log_variance.col(j).setConstant(static_cast<float>(std::log(0.25 * covariance(j, j))));
  paint.add("latent_noise", feaug::with_log_variance(feaug::latent_noise{}, view(log_variance)));
}

/// Gradient ascent on info_nce, whose keys are the rows with a little noise.
void add_adversarial(feaug::cpu_context& ctx, painter& paint, scene& from,
                     const feaug::random_key& key) {
  matrix<float> keys(from.rows.rows(), from.rows.cols());
  matrix<float> gradient = keys;
  feaug::augment(ctx, feaug::gaussian_noise{.scale = 0.02F}, view(from.rows), key, view(keys));
  const auto gradient_of = [&](const feaug::matrix_view<float>& at) {
    feaug::info_nce_with_gradients(ctx, differentiable(at, view(gradient)),
                                   feaug::stop_gradient(view(keys)), {.temperature = 0.2});
  };
  matrix<float>& out = paint.place("adversarial_step");
  feaug::adversarial_steps(
      ctx, view(from.rows), view(gradient), gradient_of,
      {.step = {.step_size = 0.1, .radius = 0.3, .relative_to = feaug::noise_scale::row_norm},
       .steps = 5},
      view(out));
}

void add_mixes(painter& paint) {
  using feaug::weight_distribution;
  paint.add("interpolate",
            feaug::interpolate{.distribution = weight_distribution::uniform, .low = 0.6F});
  paint.add(
      "extrapolate",
      feaug::extrapolate{.distribution = weight_distribution::uniform, .low = 1.0F, .high = 1.3F});
  paint.add("slerp", feaug::slerp{.distribution = weight_distribution::uniform, .low = 0.6F});
  paint.add("exchange_moments", feaug::exchange_moments{});
}

void add_neighbours(feaug::cpu_context& ctx, painter& paint, scene& from) {
  matrix<float> storage(from.queue.rows(), from.queue.cols());
  feaug::index_t cursor = 0;
  feaug::index_t size = 0;
  const feaug::support_queue<float> queue{
      .storage = view(storage), .cursor = &cursor, .size = &size};
  feaug::enqueue(ctx, queue, view(from.queue));
  paint.add("neighbour", feaug::neighbour_from(queue, feaug::neighbour{}));
  paint.add("random_neighbour", feaug::neighbour_from(queue, feaug::random_neighbour{.k = 20}));
  paint.add("mean_neighbour", feaug::neighbour_from(queue, feaug::mean_neighbour{.k = 20}));
  paint.add("trimmed_mean_neighbour",
            feaug::neighbour_from(queue, feaug::trimmed_mean_neighbour{.k = 20, .trim = 5}));
  paint.add("median_neighbour", feaug::neighbour_from(queue, feaug::median_neighbour{.k = 20}));
  const feaug::mutual_neighbour_of<feaug::mean_neighbour> mutual{
      .of = {.k = 5, .fallback = feaug::neighbour_fallback::query}, .queries = 1};
  paint.add("mutual_neighbour", feaug::neighbour_from(queue, mutual));
  paint.add("pseudo_neighbour",
            feaug::neighbour_from(
                queue, feaug::pseudo_neighbour{.weight = 0.5F, .noise = 0.02F, .normalize = true}));
  paint.add("soft_neighbour", feaug::soft_neighbour_from(queue, {.k = 20, .temperature = 0.1}));
}

}  // namespace

std::vector<named_rows> augmented(feaug::cpu_context& ctx, scene& from,
                                  const feaug::random_key& key) {
  painter paint(ctx, from, key);
  feaug::l2_normalize(ctx, view(from.rows), view(paint.place("l2_normalize")));
  add_element_wise(paint, from.rows.cols());
  add_learned_noise(ctx, paint, from);
  add_adversarial(ctx, paint, from, key);
  add_mixes(paint);
  add_neighbours(ctx, paint, from);
  return std::move(paint).all();
}

std::vector<named_rows> masks(feaug::cpu_context& ctx, index cols, const feaug::random_key& key) {
  std::vector<named_rows> all;
  for_each_mask(cols, [&](const char* name, const auto& policy) {
    all.push_back({name, matrix<float>(24, cols)});
    feaug::draw(ctx, policy, key, view(all.back().rows));
  });
  return all;
}

}  // namespace gallery
