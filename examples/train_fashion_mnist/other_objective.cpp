#include <algorithm>
#include <utility>

#include "feature_augmentation.hpp"
#include "feaug/cpu/augment/l2_normalize.hpp"
#include "feaug/cpu/loss/barlow_twins.hpp"
#include "feaug/cpu/loss/mean_shift.hpp"
#include "feaug/cpu/loss/relation_distillation.hpp"
#include "feaug/cpu/loss/swapped_assignment.hpp"
#include "feaug/cpu/loss/vicreg.hpp"
#include "matrix_view.hpp"
#include "objectives.hpp"

namespace trainer {
namespace {

using network::matrix;

double share_of(const settings& chosen) { return 1.0 / static_cast<double>(chosen.accumulate); }

/// The first view against the augmented second view; both losses are symmetric in their views.
template <class Loss>
double of_moments(feaug::cpu_context& ctx, const settings& chosen, const two_views& views,
                  const Loss& loss) {
  const augmentation_sequence augmentation = augmentations_of(chosen, views.inputs);
  matrix<float> augmented(views.z[1].value.rows(), views.z[1].value.cols());
  matrix<float> gradient(augmented.rows(), augmented.cols());
  feaug::augment(ctx, augmentation, views.z[1].value, views.key, view(augmented));
  const float value = loss(views.z[0], feaug::differentiable(view(augmented), view(gradient)));
  feaug::augment_backward(ctx, augmentation, views.z[1], views.key, view(std::as_const(gradient)));
  return share_of(chosen) * static_cast<double>(value);
}

/// Scores of augmented unit features against unit prototypes.
double swav(feaug::cpu_context& ctx, const settings& chosen, const two_views& views,
            network::parameter<float>& prototypes) {
  const augmentation_sequence augmentation = augmentations_of(chosen, views.inputs);
  feaug::l2_normalize(ctx, view(std::as_const(prototypes.value)), view(prototypes.value));
  const feaug::index_t rows = views.z[0].value.rows();
  matrix<float> unit[2];
  matrix<float> augmented[2];
  matrix<float> scores[2];
  matrix<float> gradient[2];
  const feaug::random_key keys[2] = {views.key, views.key.streams_later(sequence_traits::streams)};
  for (int v = 0; v < 2; ++v) {
    unit[v].resize(rows, projected_features);
    augmented[v].resize(rows, projected_features);
    feaug::l2_normalize(ctx, views.z[v].value, view(unit[v]));
    feaug::augment(ctx, augmentation, view(std::as_const(unit[v])), keys[v], view(augmented[v]));
    scores[v] = augmented[v] * prototypes.value.transpose();
    gradient[v].resize(rows, prototypes.value.rows());
  }
  // The queue's features take part in the balancing, with their scores for the current prototypes.
  const matrix<float> queued =
      matrix_of(views.inputs.queue.storage.rows_from(0, *views.inputs.queue.size)) *
      prototypes.value.transpose();
  const float value = feaug::swapped_assignment_with_gradients(
      ctx, feaug::differentiable(view(scores[0]), view(gradient[0])),
      feaug::differentiable(view(scores[1]), view(gradient[1])),
      {.temperature = chosen.temperature,
       .extra_scores_a = view(queued),
       .extra_scores_b = view(queued),
       .gradient_scale = share_of(chosen)});
  for (int v = 0; v < 2; ++v) {
    prototypes.gradient += gradient[v].transpose() * augmented[v];
    matrix<float> by_augmented = gradient[v] * prototypes.value;
    matrix<float> by_unit(rows, projected_features);
    feaug::augment_backward(ctx, augmentation, feaug::differentiable(view(unit[v]), view(by_unit)),
                            keys[v], view(std::as_const(by_augmented)));
    feaug::l2_normalize_backward(ctx, views.z[v], view(std::as_const(by_unit)));
  }
  return share_of(chosen) * static_cast<double>(value);
}

void leave_out(const two_views& views) {
  for (const feaug::operand<float>& z : views.z) {
    for (feaug::index_t i = 0; i < z.gradient.rows(); ++i)
      std::fill_n(z.gradient.row(i), z.gradient.cols(), 0.0F);
  }
}

/// Each view's prediction against the queue's rows nearest to the other view's target.
double mean_shift(feaug::cpu_context& ctx, const settings& chosen, const two_views& views,
                  predictor& h) {
  constexpr feaug::index_t most_neighbours = 5;
  const feaug::index_t rows = views.z[0].value.rows();
  double loss = 0;
  for (int v = 0; v < 2; ++v) {
    matrix<float> prediction(rows, projected_features);
    matrix<float> gradient(rows, projected_features);
    h.forward(views.z[v].value, view(prediction));
    const float value = feaug::mean_shift_with_gradients(
        ctx, feaug::differentiable(view(prediction), view(gradient)), views.target[1 - v],
        views.inputs.queue,
        {.k = std::min(most_neighbours, *views.inputs.queue.size),
         .exclude_ids = {views.inputs.ids.data(), rows},
         .gradient_scale = 0.5 * share_of(chosen)});
    h.backward(views.z[v].value, view(std::as_const(gradient)), views.z[v].gradient);
    loss += 0.5 * share_of(chosen) * static_cast<double>(value);
  }
  return loss;
}

/// Matches each view's similarities to the queue's rows with those of the other view's target.
double ressl(feaug::cpu_context& ctx, const settings& chosen, const two_views& views) {
  double loss = 0;
  for (int v = 0; v < 2; ++v) {
    loss += 0.5 * share_of(chosen) *
            static_cast<double>(feaug::relation_distillation_with_gradients(
                ctx, views.z[v], views.target[1 - v], views.inputs.queue,
                {.temperature = chosen.temperature,
                 .teacher_temperature = 0.4 * chosen.temperature,
                 .gradient_scale = 0.5 * share_of(chosen)}));
  }
  return loss;
}

}  // namespace

double other_objective(feaug::cpu_context& ctx, const settings& chosen, const two_views& views,
                       const learned_parts& learned) {
  if (chosen.method == "barlow_twins") {
    return of_moments(ctx, chosen, views, [&](const auto& a, const auto& b) {
      return feaug::barlow_twins_with_gradients(ctx, a, b, {.gradient_scale = share_of(chosen)});
    });
  }
  if (chosen.method == "vicreg") {
    return of_moments(ctx, chosen, views, [&](const auto& a, const auto& b) {
      return feaug::vicreg_with_gradients(ctx, a, b, {.gradient_scale = share_of(chosen)});
    });
  }
  if (chosen.method == "swav") return swav(ctx, chosen, views, learned.prototypes);
  // Both methods learn only from the queue's rows: while it is empty, loss and gradients are 0.
  if (*views.inputs.queue.size == 0) {
    leave_out(views);
    return 0;
  }
  if (chosen.method == "mean_shift") return mean_shift(ctx, chosen, views, learned.h);
  return ressl(ctx, chosen, views);
}

}  // namespace trainer
