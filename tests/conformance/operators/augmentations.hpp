// l2_normalize, mask, interpolate, extrapolate, slerp, exchange_moments, covariance_noise,
// latent_noise, adversarial_step, soft_neighbour.
//
// A backend includes its own headers before this one: the functions called below are found by the
// type of the context (argument-dependent lookup).
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "feaug/augment/adversarial.hpp"
#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/covariance_noise.hpp"
#include "feaug/augment/exchange_moments.hpp"
#include "feaug/augment/extrapolate.hpp"
#include "feaug/augment/interpolate.hpp"
#include "feaug/augment/l2_normalize.hpp"
#include "feaug/augment/latent_noise.hpp"
#include "feaug/augment/mask.hpp"
#include "feaug/augment/slerp.hpp"
#include "feaug/augment/soft_neighbour.hpp"
#include "operators/augmentation_arrays.hpp"
#include "operators/covariance_memory.hpp"
#include "support/operators/operand_input.hpp"
#include "support/operators/queue_memory.hpp"
#include "support/operators/registry.hpp"

namespace conformance {

template <class Backend, class T>
results run_l2_normalize(arguments& given) {
  operand_input<Backend, T> x(given, "x");
  const feaug::l2_normalize_options options{.eps = given.option("eps", 1e-12)};
  typename Backend::context context;
  augmentation_output<Backend, T> out(x.input());
  results got;
  feaug::l2_normalize(context, x.value(), out.view(), options);
  out.add(got);
  if (x.wants_gradient()) {
    cotangent_input<Backend, T> cotangent(given);
    feaug::l2_normalize_backward(context, x.operand(), cotangent.view(), options);
    x.add_gradient(got);
  }
  return got;
}

template <class Backend, class T>
results run_mask(arguments& given) {
  operand_input<Backend, T> x(given, "x");
  operand_input<Backend, T> keep(given, "keep");
  const auto rescale = given.choice<feaug::rescale>(
      "rescale", "none", {{"none", feaug::rescale::none}, {"row", feaug::rescale::row}});
  const auto policy = feaug::mask_from(keep.value(), rescale);
  typename Backend::context context;
  augmentation_output<Backend, T> out(x.input());
  results got;
  feaug::augment(context, policy, x.value(), feaug::random_key{}, out.view());
  out.add(got);
  if (x.wants_gradient()) {
    cotangent_input<Backend, T> cotangent(given);
    feaug::augment_backward(context, policy, x.operand(), feaug::random_key{}, cotangent.view());
    x.add_gradient(got);
  }
  return got;
}

/// The output of a policy with this partner, and its gradients.
template <class Backend, class T, class Policy>
results run_partnered(arguments& given, const Policy& policy, operand_input<Backend, T>& x,
                      operand_input<Backend, T>& partner) {
  typename Backend::context context;
  augmentation_output<Backend, T> out(x.input());
  results got;
  feaug::augment(context, policy, x.value(), feaug::random_key{}, out.view());
  out.add(got);
  if (x.wants_gradient() || partner.wants_gradient()) {
    cotangent_input<Backend, T> cotangent(given);
    feaug::augment_backward(context, policy, x.operand(), feaug::random_key{}, cotangent.view());
    x.add_gradient(got);
    partner.add_gradient(got);
  }
  return got;
}

/// Mix is feaug::interpolate, feaug::extrapolate or feaug::slerp; the weights come from the case.
template <class Backend, class T, class Mix>
results run_mix(arguments& given) {
  operand_input<Backend, T> x(given, "x");
  operand_input<Backend, T> partner(given, "partner");
  operand_input<Backend, T, 1> weight(given, "weight");
  const auto policy = feaug::with_weights(Mix{}, partner.operand(), weight.value());
  return run_partnered<Backend, T>(given, policy, x, partner);
}

template <class Backend, class T>
results run_exchange_moments(arguments& given) {
  operand_input<Backend, T> x(given, "x");
  operand_input<Backend, T> partner(given, "partner");
  const feaug::exchange_moments mix{.eps = given.option("eps", 1e-5)};
  return run_partnered<Backend, T>(given, feaug::with_partner(mix, partner.operand()), x, partner);
}

/// The random key of a case with draws.
inline feaug::random_key read_key(arguments& given) {
  return {.seed = given.option<std::uint64_t>("seed", 0),
          .step = given.option<std::uint64_t>("step", 0),
          .stream = static_cast<std::uint16_t>(given.option<int>("stream", 0)),
          .row_offset = given.option<feaug::index_t>("row_offset", 0)};
}

/// Updates a state with the case's batches, one after the other, and adds its noise to x.
template <class Backend, class T, class Memory>
results run_covariance_noise(arguments& given) {
  operand_input<Backend, T> x(given, "x");
  feaug::covariance_options options = {.ridge = given.option("ridge", 1e-6)};
  if (given.has_option("momentum")) options.momentum = given.option("momentum", 0.0);
  const auto scale = static_cast<float>(given.option("scale", 1.0));
  const feaug::random_key key = read_key(given);
  typename Backend::context context;
  Memory memory(x.input().shape[1]);
  for (int i = 0; given.has("batch" + std::to_string(i)); ++i) {
    operand_input<Backend, T> batch(given, "batch" + std::to_string(i));
    feaug::update_covariance(context, memory.view(), batch.value(), options);
  }
  const auto policy = feaug::covariance_noise(memory.view(), scale);
  results got;
  memory.add(got);
  augmentation_output<Backend, T> out(x.input());
  feaug::augment(context, policy, x.value(), key, out.view());
  out.add(got);
  if (x.wants_gradient()) {
    cotangent_input<Backend, T> cotangent(given);
    feaug::augment_backward(context, policy, x.operand(), key, cotangent.view());
    x.add_gradient(got);
  }
  return got;
}

template <class Backend, class T>
results run_covariance_noise_of(arguments& given) {
  if (given.option("diagonal", false))
    return run_covariance_noise<Backend, T, variance_memory<Backend>>(given);
  return run_covariance_noise<Backend, T, covariance_memory<Backend>>(given);
}

/// With the case's ε, or with draws of the key.
template <class Backend, class T>
results run_latent_noise(arguments& given) {
  constexpr float no_bound = std::numeric_limits<float>::infinity();
  operand_input<Backend, T> x(given, "x");
  operand_input<Backend, T> log_variance(given, "log_variance");
  const feaug::latent_noise how = {
      .least_log_variance =
          static_cast<float>(given.option("least_log_variance", static_cast<double>(-no_bound))),
      .most_log_variance =
          static_cast<float>(given.option("most_log_variance", static_cast<double>(no_bound)))};
  const feaug::random_key key = read_key(given);
  typename Backend::context context;
  augmentation_output<Backend, T> out(x.input());
  results got;
  const auto run = [&](const auto& epsilon) {
    const auto policy = feaug::with_log_variance(how, log_variance.operand(), epsilon);
    feaug::augment(context, policy, x.value(), key, out.view());
    out.add(got);
    if (!x.wants_gradient() && !log_variance.wants_gradient()) return;
    cotangent_input<Backend, T> cotangent(given);
    feaug::augment_backward(context, policy, x.operand(), key, cotangent.view());
    x.add_gradient(got);
    log_variance.add_gradient(got);
  };
  if (given.has("epsilon")) {
    operand_input<Backend, T> epsilon(given, "epsilon");
    run(epsilon.value());
  } else {
    run(feaug::matrix_view<const T, Backend::space>{});
  }
  return got;
}

/// One step; and the gradient with respect to the original, if requested: straight-through.
template <class Backend, class T>
results run_adversarial_step(arguments& given) {
  operand_input<Backend, T> original(given, "original");
  operand_input<Backend, T> current(given, "current");
  operand_input<Backend, T> gradient(given, "gradient");
  const feaug::adversarial_options options = {
      .norm = given.choice<feaug::adversarial_norm>(
          "norm", "l2",
          {{"l2", feaug::adversarial_norm::l2}, {"linf", feaug::adversarial_norm::linf}}),
      .step_size = given.option("step_size", 0.1),
      .radius = given.option("radius", 0.1),
      .relative_to = given.option("relative", false) ? feaug::noise_scale::row_norm
                                                     : feaug::noise_scale::absolute,
      .renormalize = given.option("renormalize", false),
      .gradient = feaug::adversarial_gradient::straight_through};
  typename Backend::context context;
  augmentation_output<Backend, T> out(original.input());
  results got;
  feaug::adversarial_step(context, original.value(), current.value(), gradient.value(), options,
                          out.view());
  out.add(got);
  if (original.wants_gradient()) {
    cotangent_input<Backend, T> cotangent(given);
    feaug::adversarial_backward(context, original.operand(), cotangent.view(), options);
    original.add_gradient(got);
  }
  return got;
}

/// The output of a policy, and its gradient with respect to the queries.
template <class Backend, class T, class Policy>
void add_soft_neighbours(results& got, arguments& given, const std::string& route,
                         const Policy& policy, operand_input<Backend, T>& queries) {
  typename Backend::context context;
  augmentation_output<Backend, T> out(queries.input());
  feaug::augment(context, policy, queries.value(), feaug::random_key{}, out.view());
  out.add(got, route);
  if (!queries.wants_gradient()) return;
  cotangent_input<Backend, T> cotangent(given);
  queries.forget_gradient();
  feaug::augment_backward(context, policy, queries.operand(), feaug::random_key{},
                          cotangent.view());
  queries.add_gradient(got, route);
}

template <class Backend, class T>
results run_soft_neighbour(arguments& given) {
  operand_input<Backend, T> queries(given, "queries");
  operand_input<Backend, T> support(given, "support");
  const feaug::soft_neighbour how{.k = given.option<feaug::index_t>("k", 5),
                                  .temperature = given.option("temperature", 0.1)};
  const feaug::index_t rows = queries.input().shape[0];
  typename Backend::template array<feaug::index_t> slots(
      unwritten_indices(element_count({rows, how.k})));
  queue_memory<Backend, T> queue(support.input());
  results got;
  add_soft_neighbours<Backend, T>(got, given, "among the rows of a matrix",
                                  feaug::soft_neighbour_from(support.value(), how), queries);
  add_soft_neighbours<Backend, T>(
      got, given, "in a queue, slots handed on",
      feaug::soft_neighbour_from(queue.view(), how, {.indices = {slots.data(), rows, how.k}}),
      queries);
  return got;
}

template <class Backend, class T>
void add_augmentations(registry& operators) {
  operators["l2_normalize"] = run_l2_normalize<Backend, T>;
  operators["mask"] = run_mask<Backend, T>;
  operators["interpolate"] = run_mix<Backend, T, feaug::interpolate>;
  operators["extrapolate"] = run_mix<Backend, T, feaug::extrapolate>;
  operators["slerp"] = run_mix<Backend, T, feaug::slerp>;
  operators["exchange_moments"] = run_exchange_moments<Backend, T>;
  operators["covariance_noise"] = run_covariance_noise_of<Backend, T>;
  operators["latent_noise"] = run_latent_noise<Backend, T>;
  operators["adversarial_step"] = run_adversarial_step<Backend, T>;
  operators["soft_neighbour"] = run_soft_neighbour<Backend, T>;
}

}  // namespace conformance
