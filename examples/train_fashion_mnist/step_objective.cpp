#include "feature_augmentation.hpp"
#include "feaug/cpu/step/step.hpp"
#include "objectives.hpp"

namespace trainer {
namespace {

feaug::step_options<float> step_options_of(const settings& chosen) {
  using feaug::architecture;
  feaug::step_options<float> options{.temperature = chosen.temperature, .samples = chosen.samples};
  if (chosen.architecture == "basic") options.architecture = architecture::basic;
  if (chosen.architecture == "pre_predictor") options.architecture = architecture::pre_predictor;
  if (chosen.architecture == "post_predictor") options.architecture = architecture::post_predictor;
  if (chosen.sample_reduction == "sum") options.sample_reduction = feaug::sample_reduce::sum;
  if (chosen.method == "byol" || chosen.method == "simsiam")
    options.paradigm = feaug::paradigm::similarity;
  if (chosen.method == "simclr") options.contrast = feaug::contrast::both_views;
  if (chosen.method == "moco") {
    options.contrast = feaug::contrast::prediction_rows;
    options.in_batch_negatives = false;
  }
  options.share = 1.0 / static_cast<double>(chosen.accumulate);
  return options;
}

}  // namespace

double step_objective(feaug::cpu_context& ctx, const settings& chosen, const two_views& views,
                      const learned_parts& learned) {
  feaug::step_options<float> options = step_options_of(chosen);
  if (chosen.method == "moco") {
    const feaug::index_t queued = *views.inputs.queue.size;
    options.negatives = feaug::stop_gradient(
        feaug::matrix_view<const float>(views.inputs.queue.storage.rows_from(0, queued)));
    // The queue is empty for the first batch: its own keys are the negatives.
    options.in_batch_negatives = queued == 0;
  }
  const augmentation_sequence augmentation = augmentations_of(chosen, views.inputs);
  if (!chosen.has_momentum_target()) {
    return static_cast<double>(
        feaug::step(ctx, options, views.z[0], views.z[1], learned.h, augmentation, views.key,
                    chosen.stop_gradient == "on" ? feaug::target_gradient::stopped
                                                 : feaug::target_gradient::flowing));
  }
  options.share *= 0.5;  // mean of the two directions
  double loss = 0;
  for (int v = 0; v < 2; ++v) {
    loss += static_cast<double>(feaug::step_direction(ctx, options, views.z[v],
                                                      feaug::stop_gradient(views.target[1 - v]),
                                                      learned.h, augmentation, views.key, v));
  }
  return loss;
}

}  // namespace trainer
