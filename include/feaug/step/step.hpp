// A training step on features: augment, predict, compare, and all gradients, in one call.
#pragma once

#include <algorithm>
#include <concepts>
#include <string_view>
#include <type_traits>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/l2_normalize.hpp"
#include "feaug/core/context.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/loss/info_nce.hpp"
#include "feaug/loss/negative_cosine.hpp"
#include "feaug/loss/nt_xent.hpp"
#include "feaug/step/architecture.hpp"
#include "feaug/step/predictor.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of step and step_direction. T is the element type of the features.
template <element T>
struct step_options {
  feaug::architecture architecture = feaug::architecture::parallel_predictor;
  feaug::paradigm paradigm = feaug::paradigm::discrimination;
  feaug::contrast contrast = feaug::contrast::target_rows;
  /// Of the contrastive losses.
  double temperature = 0.1;
  /// K: how many augmented samples are drawn, each with a loss of its own.
  int samples = 1;
  feaug::sample_reduce sample_reduction = feaug::sample_reduce::mean;
  /// Whether step compares both ways, ½ each, or only z1 with z2.
  bool symmetric = true;
  /// K × D rows that join every row's sum: a support queue. contrast::target_rows and
  /// prediction_rows only.
  operand<T> negatives = {};
  /// Whether the rest of the batch is negative. false, with negatives, makes the loss of a row
  /// independent of its batch.
  bool in_batch_negatives = true;
  /// This call's part of a batch that is worked through in micro-batches: its rows / all rows.
  /// Multiplies loss and gradients, so that the micro-batches' calls add up to the mean over the
  /// whole batch. See docs/step.md for when that is the same number.
  double share = 1;
  /// Multiplies every gradient, not the loss.
  double gradient_scale = 1;
};

namespace detail {

/// A gradient's destination to which several parts of a step contribute: the first in the operand's
/// own mode, the others on top.
template <element T>
class gradient_sink {
 public:
  explicit gradient_sink(const operand<T>& x) : x_(x) {}

  [[nodiscard]] bool wanted() const { return x_.wants_gradient(); }
  [[nodiscard]] matrix_view<const T> value() const { return x_.value; }

  /// The operand to hand to the next contributor.
  operand<T> next() {
    operand<T> contribution = x_;
    if (written_ && wanted()) contribution.mode = gradient_mode::accumulate;
    written_ = true;
    return contribution;
  }

  /// Where nothing contributed, the gradient is zero.
  void finish() const {
    if (written_ || x_.mode != gradient_mode::overwrite) return;
    for (index_t i = 0; i < x_.gradient.rows(); ++i)
      std::fill_n(x_.gradient.row(i), x_.gradient.cols(), T{});
  }

 private:
  operand<T> x_;
  bool written_ = false;
};

/// The augmentation of one sample: the policy itself, or what a callable (direction, sample) gives.
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

/// FA(x) = policy(unit(x)) and its way back.
template <element T, class Policy>
class augmented_features {
 public:
  augmented_features(cpu_context& ctx, workspace::scope& scratch, index_t rows, index_t cols)
      : ctx_(ctx),
        unit_(scratch.take<T>(rows * cols), rows, cols),
        unit_gradient_(scratch.take<T>(rows * cols), rows, cols),
        value_(scratch.take<T>(rows * cols), rows, cols) {}

  matrix_view<const T> forward(const Policy& policy, matrix_view<const T> x,
                               const random_key& key) {
    l2_normalize(ctx_, x, unit_);
    augment(ctx_, policy, matrix_view<const T>(unit_), key, value_);
    return value_;
  }

  void backward(const Policy& policy, const operand<T>& x, const random_key& key,
                matrix_view<const T> gradient) {
    augment_backward(ctx_, policy, differentiable(unit_, unit_gradient_), key, gradient);
    l2_normalize_backward(ctx_, x, unit_gradient_);
  }

 private:
  cpu_context& ctx_;
  matrix_view<T> unit_;
  matrix_view<T> unit_gradient_;
  matrix_view<T> value_;
};

/// One direction: prediction from view a, target from view b.
template <element T, class Predictor, class Augmentation>
class step_direction_call {
 public:
  using C = compute_t<T>;
  using policy = policy_type<Augmentation>;

  step_direction_call(cpu_context& ctx, const step_options<T>& options, double weight,
                      gradient_sink<T>& a, gradient_sink<T>& b, Predictor& h,
                      const Augmentation& augmentation, const random_key& key, int direction)
      : ctx_(ctx),
        scratch_(ctx.workspace),
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
        augmented_(ctx, scratch_, a.value().rows(), a.value().cols()) {}

  C run() {
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
    return C{};
  }

 private:
  C basic() {
    return over_samples([&](const policy& fa, const random_key& key) {
      return against_augmented_target(fa, key, [&] { return a_.next(); });
    });
  }

  C pre_predictor() {
    const matrix_view<T> predicted = matrix();
    const matrix_view<T> predicted_gradient = matrix();
    const matrix_view<T> augmented_gradient = matrix();
    return over_samples([&](const policy& fa, const random_key& key) {
      const matrix_view<const T> augmented = augmented_.forward(fa, a_.value(), key);
      h_.forward(augmented, predicted);
      const C loss = compare(differentiable(predicted, predicted_gradient), b_.next());
      h_.backward(augmented, matrix_view<const T>(predicted_gradient), augmented_gradient);
      if (a_.wanted()) augmented_.backward(fa, a_.next(), key, augmented_gradient);
      return loss;
    });
  }

  C post_predictor() {
    const matrix_view<T> augmented_gradient = matrix();
    return through_predictor([&](gradient_sink<T>& predicted) {
      return over_samples([&](const policy& fa, const random_key& key) {
        const matrix_view<const T> augmented = augmented_.forward(fa, predicted.value(), key);
        const C loss = compare(differentiable(augmented, augmented_gradient), b_.next());
        augmented_.backward(fa, predicted.next(), key, augmented_gradient);
        return loss;
      });
    });
  }

  C parallel_predictor() {
    return through_predictor([&](gradient_sink<T>& predicted) {
      return over_samples([&](const policy& fa, const random_key& key) {
        return against_augmented_target(fa, key, [&] { return predicted.next(); });
      });
    });
  }

  /// h once, its backward once, however many samples lie between.
  template <class Body>
  C through_predictor(const Body& body) {
    const matrix_view<T> predicted = matrix();
    const matrix_view<T> predicted_gradient = matrix();
    h_.forward(a_.value(), predicted);
    gradient_sink<T> sink(differentiable(predicted, predicted_gradient));
    const C loss = body(sink);
    sink.finish();
    const matrix_view<T> input_gradient = matrix();
    h_.backward(a_.value(), matrix_view<const T>(predicted_gradient), input_gradient);
    if (a_.wanted()) add_to(a_.next(), input_gradient);
    return loss;
  }

  template <class Next>
  C against_augmented_target(const policy& fa, const random_key& key, const Next& prediction) {
    const matrix_view<const T> target = augmented_.forward(fa, b_.value(), key);
    if (!b_.wanted()) return compare(prediction(), stop_gradient(target));
    if (target_gradient_.data == nullptr) target_gradient_ = matrix();
    const C loss = compare(prediction(), differentiable(target, target_gradient_));
    augmented_.backward(fa, b_.next(), key, target_gradient_);
    return loss;
  }

  template <class Sample>
  C over_samples(const Sample& sample) {
    double loss = 0;
    for (int k = 0; k < options_.samples; ++k) {
      decltype(auto) fa = policy_of(augmentation_, direction_, k);
      const random_key key =
          key_.streams_later((direction_ * options_.samples + k) * stream_count<policy>);
      loss += sample_weight_ * static_cast<double>(sample(fa, key));
    }
    return static_cast<C>(loss);
  }

  /// The loss of one pair; its gradients carry the sample's weight.
  C compare(const operand<T>& prediction, const operand<T>& target) {
    const double scale = sample_weight_ * options_.gradient_scale;
    if (options_.paradigm == paradigm::similarity) {
      return negative_cosine_with_gradients(ctx_, prediction, target, {.gradient_scale = scale});
    }
    if (options_.contrast == contrast::both_views) {
      return nt_xent_with_gradients(ctx_, prediction, target,
                                    {.temperature = options_.temperature, .gradient_scale = scale});
    }
    const bool rows_are_targets = options_.contrast == contrast::target_rows;
    return info_nce_with_gradients(ctx_, rows_are_targets ? target : prediction,
                                   rows_are_targets ? prediction : target,
                                   {.temperature = options_.temperature,
                                    .in_batch_negatives = options_.in_batch_negatives,
                                    .negatives = options_.negatives,
                                    .gradient_scale = scale});
  }

  static void add_to(const operand<T>& x, matrix_view<const T> gradient) {
    for (index_t i = 0; i < gradient.rows(); ++i) {
      for (index_t j = 0; j < gradient.cols(); ++j) {
        T& destination = x.gradient(i, j);
        const C before = x.mode == gradient_mode::overwrite ? C{0} : load(destination);
        destination = store<T>(before + load(gradient(i, j)));
      }
    }
  }

  matrix_view<T> matrix() {
    const index_t rows = a_.value().rows();
    const index_t cols = a_.value().cols();
    return {scratch_.template take<T>(rows * cols), rows, cols};
  }

  cpu_context& ctx_;
  workspace::scope scratch_;
  const step_options<T>& options_;
  double sample_weight_;
  gradient_sink<T>& a_;
  gradient_sink<T>& b_;
  Predictor& h_;
  const Augmentation& augmentation_;
  random_key key_;
  int direction_;
  augmented_features<T, policy> augmented_;
  matrix_view<T> target_gradient_ = {};
};

template <element T, class Predictor>
void check_step(std::string_view op, const step_options<T>& options, std::string_view first,
                const operand<T>& a, std::string_view second, const operand<T>& b) {
  check::valid(op, first, a);
  check::valid(op, second, b);
  check::not_empty(op, first, a.value);
  check::has_shape(op, second, b.value, a.value.rows(), a.value.cols(), first);
  check::apart(op, first, a, second, b);
  check::positive(op, "temperature", options.temperature);
  check::within(op, "samples", index_t{options.samples}, 1, 1 << 15);
  check::positive(op, "share", options.share);
  check::finite(op, "gradient_scale", options.gradient_scale);
  check::valid(op, "negatives", options.negatives);
  if (options.negatives.wants_gradient()) {
    check::fail(op, "negatives", "a gradient destination",
                "stop_gradient(negatives), since several losses read them");
  }
  if (!options.negatives.value.empty()) {
    check::has_columns(op, "negatives", options.negatives.value, a.value.cols(), first);
    if (options.paradigm == paradigm::similarity || options.contrast == contrast::both_views) {
      check::fail(op, "negatives", check::shape(options.negatives.value),
                  "none, since this loss has no place for a queue's rows");
    }
  }
  if (std::same_as<Predictor, no_predictor> && options.architecture != architecture::basic) {
    check::fail(op, "predictor", "no_predictor", "a predictor, or architecture::basic");
  }
}

}  // namespace detail

/// The loss of one direction and its gradients: the prediction comes from `a`, the target from `b`
/// (N × D both), as options.architecture places augmentation and predictor. sg is stop_gradient(b);
/// with a destination b is differentiated as well. Momentum targets: call it for (z1,
/// stop_gradient(m2)) and for (z2, stop_gradient(m1)).
///
/// `augmentation` is a policy, or a callable (direction, sample) → policy. `direction` (0 or 1)
/// keeps the draws of two calls apart; sample k draws from stream key.stream + (direction·samples +
/// k)·stream_count<policy> on. options.symmetric plays no part. The predictor's parameter gradients
/// are its own affair: see feaug::predictor. The features are changed in no way. Scratch: up to
/// eight N × D arrays.
template <element T, predictor<T> Predictor, class Augmentation>
compute_t<T> step_direction(cpu_context& ctx, const std::type_identity_t<step_options<T>>& options,
                            const operand<T>& a, const std::type_identity_t<operand<T>>& b,
                            Predictor& h, const Augmentation& augmentation, const random_key& key,
                            int direction = 0) {
  detail::check_step<T, Predictor>("step_direction", options, "a", a, "b", b);
  check::within("step_direction", "direction", index_t{direction}, 0, 1);
  check::usable(
      "step_direction", key, a.value.rows(), a.value.cols(),
      (direction + 1) * options.samples * stream_count<detail::policy_type<Augmentation>>);
  detail::gradient_sink<T> sink_a(a);
  detail::gradient_sink<T> sink_b(b);
  const auto loss = detail::step_direction_call<T, Predictor, Augmentation>(
                        ctx, options, 1.0, sink_a, sink_b, h, augmentation, key, direction)
                        .run();
  sink_a.finish();
  sink_b.finish();
  return loss;
}

/// Whether a step's targets are constants.
enum class target_gradient {
  stopped,  ///< as all published methods train
  flowing,  ///< for studying what stopping does
};

/// The loss of two views of N × D features and all its gradients: the mean of both directions, or
/// z1 → z2 alone with options.symmetric = false. Each view is differentiated as a prediction and,
/// with target_gradient::flowing, as a target.
template <element T, predictor<T> Predictor, class Augmentation>
compute_t<T> step(cpu_context& ctx, const std::type_identity_t<step_options<T>>& options,
                  const operand<T>& z1, const operand<T>& z2, Predictor& h,
                  const Augmentation& augmentation, const random_key& key,
                  target_gradient targets = target_gradient::stopped) {
  detail::check_step<T, Predictor>("step", options, "z1", z1, "z2", z2);
  check::usable("step", key, z1.value.rows(), z1.value.cols(),
                2 * options.samples * stream_count<detail::policy_type<Augmentation>>);
  using call = detail::step_direction_call<T, Predictor, Augmentation>;
  detail::gradient_sink<T> sinks[2] = {detail::gradient_sink<T>(z1), detail::gradient_sink<T>(z2)};
  const int directions = options.symmetric ? 2 : 1;
  double loss = 0;
  for (int direction = 0; direction < directions; ++direction) {
    detail::gradient_sink<T>& a = sinks[direction];
    detail::gradient_sink<T>& b = sinks[1 - direction];
    detail::gradient_sink<T> constant(stop_gradient(b.value()));
    loss += static_cast<double>(call(ctx, options, 1.0 / directions, a,
                                     targets == target_gradient::flowing ? b : constant, h,
                                     augmentation, key, direction)
                                    .run());
  }
  sinks[0].finish();
  sinks[1].finish();
  return static_cast<compute_t<T>>(loss);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
