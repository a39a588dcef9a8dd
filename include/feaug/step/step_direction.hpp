// One direction of a step: the prediction comes from one view, the target from the other. Shared by
// all contexts.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/l2_normalize.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/loss/info_nce.hpp"
#include "feaug/loss/negative_cosine.hpp"
#include "feaug/loss/nt_xent.hpp"
#include "feaug/step/architecture.hpp"
#include "feaug/step/gradient_accumulator.hpp"
#include "feaug/step/step_options.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

/// The augmentation of one sample: the policy itself, or the result of a callable (direction,
/// sample).
template <class Augmentation>
decltype(auto) policy_of(const Augmentation& augmentation, int direction, int sample) {
  if constexpr (std::invocable<const Augmentation&, int, int>) {
    return augmentation(direction, sample);
  } else {
    return (augmentation);
  }
}

template <class Augmentation>
using policy_type =
    std::remove_cvref_t<decltype(policy_of(std::declval<const Augmentation&>(), 0, 0))>;

/// FA(x) = policy(unit(x)), forward and backward.
template <class Context, element T, class Policy>
class augmented_features {
 public:
  using operation = typename Context::operation;
  using input_view = matrix_view<const T, Context::space>;
  using output_view = matrix_view<T, Context::space>;
  using operand_type = operand<T, 2, Context::space>;

  augmented_features(Context& ctx, operation& call, index_t rows, index_t cols)
      : ctx_(ctx),
        unit_(call.template take<T>(rows * cols), rows, cols),
        unit_gradient_(call.template take<T>(rows * cols), rows, cols),
        value_(call.template take<T>(rows * cols), rows, cols) {}

  input_view forward(const Policy& policy, input_view x, const random_key& key) {
    normalize(x);
    augment_to(policy, key, value_);
    return value_;
  }

  /// The two parts of forward: unit(x), shared by several samples, and one augmented sample of it.
  void normalize(input_view x) { l2_normalize(ctx_, x, unit_); }
  void augment_to(const Policy& policy, const random_key& key, output_view to) {
    augment(ctx_, policy, input_view(unit_), key, to);
  }

  void backward(const Policy& policy, const operand_type& x, const random_key& key,
                input_view gradient) {
    augment_backward(ctx_, policy, differentiable(unit_, unit_gradient_), key, gradient);
    l2_normalize_backward(ctx_, x, unit_gradient_);
  }

 private:
  Context& ctx_;
  output_view unit_;
  output_view unit_gradient_;
  output_view value_;
};

/// One direction: prediction from view a, target from view b.
template <class Context, element T, class Predictor, class Augmentation>
class step_direction_call {
 public:
  using C = compute_t<T>;
  using policy = policy_type<Augmentation>;
  using input_view = matrix_view<const T, Context::space>;
  using output_view = matrix_view<T, Context::space>;
  using operand_type = operand<T, 2, Context::space>;
  using sink = gradient_accumulator<T, Context::space>;
  static constexpr int samples_together = 4;

  step_direction_call(Context& ctx, const step_options<T, Context::space>& options, double weight,
                      sink& a, sink& b, Predictor& h, const Augmentation& augmentation,
                      const random_key& key, int direction, const check::call_memory& memory,
                      double* total)
      : ctx_(ctx),
        call_(ctx, "step"),
        options_(options),
        sample_weight_(weight * options.share /
                       (options.sample_reduction == sample_reduce::mean
                            ? static_cast<double>(options.samples)
                            : 1.0)),
        a_(a),
        b_(b),
        h_(h),
        augmentation_(augmentation),
        key_(key),
        direction_(direction),
        memory_(memory),
        total_(total),
        loss_(call_.template take<C>(1), 1),
        augmented_(ctx, call_, a.value().rows(), a.value().cols()) {}

  /// Adds the loss of the direction to the total and writes its gradients.
  void run() {
    switch (options_.architecture) {
      case architecture::basic:
        return basic();
      case architecture::pre_predictor:
        return pre_predictor();
      case architecture::post_predictor:
        return post_predictor();
      case architecture::parallel_predictor:
        return parallel_predictor();
    }
  }

 private:
  void basic() {
    if (shares_prediction()) return against_sampled_targets([&] { return a_.next(); });
    over_samples([&](const policy& fa, const random_key& key) {
      against_augmented_target(fa, key, [&] { return a_.next(); });
    });
  }

  void pre_predictor() {
    const output_view predicted = matrix();
    const output_view predicted_gradient = matrix();
    const output_view augmented_gradient = matrix();
    over_samples([&](const policy& fa, const random_key& key) {
      const input_view augmented = augmented_.forward(fa, a_.value(), key);
      h_.forward(augmented, predicted);
      compare(differentiable(predicted, predicted_gradient), b_.next());
      h_.backward(augmented, input_view(predicted_gradient), augmented_gradient);
      if (a_.wanted()) augmented_.backward(fa, a_.next(), key, augmented_gradient);
    });
  }

  void post_predictor() {
    const output_view augmented_gradient = matrix();
    through_predictor([&](sink& predicted) {
      over_samples([&](const policy& fa, const random_key& key) {
        const input_view augmented = augmented_.forward(fa, predicted.value(), key);
        compare(differentiable(augmented, augmented_gradient), b_.next());
        augmented_.backward(fa, predicted.next(), key, augmented_gradient);
      });
    });
  }

  void parallel_predictor() {
    through_predictor([&](sink& predicted) {
      if (shares_prediction()) return against_sampled_targets([&] { return predicted.next(); });
      over_samples([&](const policy& fa, const random_key& key) {
        against_augmented_target(fa, key, [&] { return predicted.next(); });
      });
    });
  }

  /// Runs h forward once and backward once, for any number of samples.
  template <class Body>
  void through_predictor(const Body& body) {
    const output_view predicted = matrix();
    const output_view predicted_gradient = matrix();
    h_.forward(a_.value(), predicted);
    sink contributions(differentiable(predicted, predicted_gradient));
    body(contributions);
    contributions.finish(call_);
    const output_view input_gradient = matrix();
    h_.backward(a_.value(), input_view(predicted_gradient), input_gradient);
    if (a_.wanted()) put_gradient_matrix(call_, a_.next(), input_view(input_gradient));
  }

  template <class Next>
  void against_augmented_target(const policy& fa, const random_key& key, const Next& prediction) {
    const input_view target = augmented_.forward(fa, b_.value(), key);
    if (!b_.wanted()) return compare(prediction(), stop_gradient(target));
    if (target_gradient_.data == nullptr) target_gradient_ = matrix();
    compare(prediction(), differentiable(target, target_gradient_));
    augmented_.backward(fa, b_.next(), key, target_gradient_);
  }

  /// Whether one prediction is compared with several samples of a constant target in a loss that
  /// takes several targets.
  [[nodiscard]] bool shares_prediction() const {
    return options_.paradigm == paradigm::similarity && !b_.wanted() && options_.samples > 1;
  }

  /// Compares with `together` samples of the target at a time, so that the prediction is read and
  /// its gradient written once for each group instead of once for each sample.
  template <class Next>
  void against_sampled_targets(const Next& prediction) {
    output_view values[samples_together];
    operand_type targets[samples_together];
    const int together = std::min(options_.samples, samples_together);
    for (int k = 0; k < together; ++k) values[k] = matrix();
    augmented_.normalize(b_.value());
    int filled = 0;
    over_samples([&](const policy& fa, const random_key& key) {
      augmented_.augment_to(fa, key, values[filled]);
      targets[filled] = stop_gradient(input_view(values[filled]));
      if (++filled < together) return;
      compare_with(prediction(), targets, filled);
      filled = 0;
    });
    if (filled > 0) compare_with(prediction(), targets, filled);
  }

  void compare_with(const operand_type& prediction, const operand_type* targets, int count) {
    negative_cosine_with_gradients(
        ctx_, prediction, std::span<const operand_type>(targets, static_cast<std::size_t>(count)),
        loss_, {.gradient_scale = sample_weight_ * options_.gradient_scale});
    add_to_total(call_, sample_weight_, loss_, total_);
  }

  template <class Sample>
  void over_samples(const Sample& sample) {
    for (int k = 0; k < options_.samples; ++k) {
      decltype(auto) fa = policy_of(augmentation_, direction_, k);
      if constexpr (!feaug::augmentation<Augmentation>) check::policy_apart(fa, memory_);
      sample(fa, key_.streams_later((direction_ * options_.samples + k) * stream_count<policy>));
    }
  }

  /// Adds the loss of one pair to the total; its gradients include the sample's weight.
  void compare(const operand_type& prediction, const operand_type& target) {
    const double scale = sample_weight_ * options_.gradient_scale;
    const bool rows_are_targets = options_.contrast == contrast::target_rows;
    if (options_.paradigm == paradigm::similarity) {
      negative_cosine_with_gradients(ctx_, prediction, target, loss_, {.gradient_scale = scale});
    } else if (options_.contrast == contrast::both_views) {
      nt_xent_with_gradients(ctx_, prediction, target, loss_,
                             {.temperature = options_.temperature, .gradient_scale = scale});
    } else {
      info_nce_with_gradients(ctx_, rows_are_targets ? target : prediction,
                              rows_are_targets ? prediction : target, loss_,
                              {.temperature = options_.temperature,
                               .in_batch_negatives = options_.in_batch_negatives,
                               .negatives = options_.negatives,
                               .gradient_scale = scale});
    }
    add_to_total(call_, sample_weight_, loss_, total_);
  }

  output_view matrix() {
    const index_t rows = a_.value().rows();
    const index_t cols = a_.value().cols();
    return {call_.template take<T>(rows * cols), rows, cols};
  }

  Context& ctx_;
  typename Context::operation call_;
  const step_options<T, Context::space>& options_;
  double sample_weight_;
  sink& a_;
  sink& b_;
  Predictor& h_;
  const Augmentation& augmentation_;
  random_key key_;
  int direction_;
  const check::call_memory& memory_;  // of the step's other arguments
  double* total_;
  vector_view<C, Context::space> loss_;  // of one pair
  augmented_features<Context, T, policy> augmented_;
  output_view target_gradient_ = {};
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail

#include "feaug/header_end.hpp"
