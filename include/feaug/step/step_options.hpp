// Options and argument checks of a step, shared by all backends.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>
#include <string_view>

#include "feaug/augment/augmentation.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/step/architecture.hpp"
#include "feaug/step/predictor.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Options of step and step_direction. T is the element type of the features.
template <element T, memory_space Space = memory_space::host>
struct step_options {
  feaug::architecture architecture = feaug::architecture::parallel_predictor;
  feaug::paradigm paradigm = feaug::paradigm::discrimination;
  feaug::contrast contrast = feaug::contrast::target_rows;
  /// Of the contrastive losses.
  double temperature = 0.1;
  /// K: the number of augmented samples; each has its own loss.
  int samples = 1;
  feaug::sample_reduce sample_reduction = feaug::sample_reduce::mean;
  /// Whether step compares in both directions, with weight ½ each, or only z1 with z2.
  bool symmetric = true;
  /// M × D rows that are added to the denominator of every row: a support queue. Only with
  /// contrast::target_rows and prediction_rows.
  operand<T, 2, Space> negatives = {};
  /// Whether the other rows of the batch are negatives. With false, and `negatives` given, the loss
  /// of a row does not depend on the other rows of the batch.
  bool in_batch_negatives = true;
  /// For micro-batches: the rows of this call / the rows of the whole batch. Multiplies loss and
  /// gradients, so that the calls of all micro-batches add up to the mean over the whole batch.
  /// docs/step.md says when the two are equal.
  double share = 1;
  /// Multiplies every gradient, but not the loss.
  double gradient_scale = 1;
};

/// Whether a step's targets are constants.
enum class target_gradient {
  stopped,  ///< as in all published methods
  flowing,  ///< to study the effect of stop-gradient
};

namespace detail {

/// Checks a call's arguments, and returns their memory for the policies of a callable, which are
/// checked when they are used.
template <class Predictor, class Augmentation, element T, memory_space S>
check::call_memory check_step(std::string_view op, const step_options<T, S>& options,
                              std::string_view first, const operand<T, 2, S>& a,
                              std::string_view second, const operand<T, 2, S>& b,
                              const Augmentation& policy,
                              const vector_view<compute_t<T>, S>& loss) {
  check::valid(op, first, a);
  check::valid(op, second, b);
  check::not_empty(op, first, a.value);
  check::has_shape(op, second, b.value, a.value.rows(), a.value.cols(), first);
  check::positive(op, "temperature", options.temperature);
  check::within(op, "samples", index_t{options.samples}, 1, 1 << 15);
  check::positive(op, "share", options.share);
  check::finite(op, "gradient_scale", options.gradient_scale);
  check::valid(op, "negatives", options.negatives);
  check::writable(op, "loss", loss);
  check::has_size(op, "loss", loss, 1, "a scalar");
  check::call_memory memory(op);
  memory.writes("loss", loss).uses(first, a).uses(second, b);
  memory.uses("negatives", options.negatives);
  if constexpr (augmentation<Augmentation>) {
    check::policy_apart(policy, memory);
  } else {
    memory.require_apart();
  }
  if (options.negatives.wants_gradient()) {
    check::fail(op, "negatives", "a gradient destination",
                "stop_gradient(negatives), since several losses read them");
  }
  if (options.negatives.value.rows() > 0) {
    check::has_columns(op, "negatives", options.negatives.value, a.value.cols(), first);
    if (options.paradigm == paradigm::similarity || options.contrast == contrast::both_views) {
      check::fail(op, "negatives", check::shape(options.negatives.value),
                  "none, since this loss has no place for a queue's rows");
    }
  }
  if (std::same_as<Predictor, no_predictor> && options.architecture != architecture::basic) {
    check::fail(op, "predictor", "no_predictor", "a predictor, or architecture::basic");
  }
  return memory;
}

}  // namespace detail
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
