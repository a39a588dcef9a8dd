// Augmentations of features. Draws depend on seed, step and stream, so that no draws are stored
// between the forward and the backward pass.
#if defined(FEAUG_PYTHON_CUDA)
#include <feaug/cuda/augment/l2_normalize.cuh>
#include <feaug/cuda/augment/mask.cuh>
#include <feaug/cuda/augment/mix.cuh>
#include <feaug/cuda/augment/noise.cuh>
#include <feaug/cuda/augment/row_mix.cuh>
#endif
#include <cstdint>
#include <feaug/core/random.hpp>
#include <feaug/cpu/augment/augmentation.hpp>
#include <feaug/cpu/augment/l2_normalize.hpp>
#include <feaug/cpu/augment/mask.hpp>
#include <feaug/cpu/augment/mix.hpp>
#include <feaug/cpu/augment/noise.hpp>
#include <feaug/cpu/augment/row_mix.hpp>

#include "views.hpp"

namespace feaug_python {
namespace {

feaug::random_key random_key_of(std::string_view op, const draw_key& key) {
  feaug::check::within(op, "stream", key.stream, 0, 65535);
  feaug::random_key drawn = {.seed = static_cast<std::uint64_t>(key.seed),
                             .stream = static_cast<std::uint16_t>(key.stream),
                             .row_offset = key.row_offset};
  if (key.step_on_host) {
    drawn.step = static_cast<std::uint64_t>(*key.step);
  } else {
    drawn.device_step = reinterpret_cast<const std::uint64_t*>(key.step);
  }
  return drawn;
}

feaug::mask mask_of(const augmentation& given) {
  return {.keep_probability = static_cast<float>(given.first),
          .rescale = given.option != 0 ? feaug::rescale::row : feaug::rescale::none};
}

template <class Noise>
Noise noise_of(const augmentation& given) {
  return {.scale = static_cast<float>(given.first),
          .relative_to =
              given.option != 0 ? feaug::noise_scale::row_norm : feaug::noise_scale::absolute};
}

/// `option`: 0 fixed at `first`, 1 uniform from `first` to `second`, 2 beta of both.
template <class Mix>
Mix mix_of(const augmentation& given) {
  const auto first = static_cast<float>(given.first);
  const auto second = static_cast<float>(given.second);
  switch (given.option) {
    case 1:
      return {.distribution = feaug::weight_distribution::uniform, .low = first, .high = second};
    case 2:
      return {.distribution = feaug::weight_distribution::beta, .alpha = first, .beta = second};
    default:
      return {.weight = first};
  }
}

/// Calls mixed(policy) for kinds with a partner, and alone(policy) for the others.
template <class Alone, class Mixed>
void with_policy(const augmentation& given, const Alone& alone, const Mixed& mixed) {
  if (given.kind == "mask") return alone(mask_of(given));
  if (given.kind == "gaussian_noise") return alone(noise_of<feaug::gaussian_noise>(given));
  if (given.kind == "uniform_noise") return alone(noise_of<feaug::uniform_noise>(given));
  if (given.kind == "interpolate") return mixed(mix_of<feaug::interpolate>(given));
  if (given.kind == "extrapolate") return mixed(mix_of<feaug::extrapolate>(given));
  if (given.kind == "slerp") return mixed(mix_of<feaug::slerp>(given));
  if (given.kind == "exchange_moments") return mixed(feaug::exchange_moments{.eps = given.first});
  feaug::check::fail("augment", "kind", given.kind,
                     "mask, gaussian_noise, uniform_noise, interpolate, extrapolate, slerp or "
                     "exchange_moments");
}

}  // namespace

void augment(const caller& from, const augmentation& policy, const draw_key& key, const buffer& x,
             const buffer& partner, const buffer& out) {
  const std::string_view op = policy.kind;
  lend_context(from, [&](context& ctx) {
    with_element(op, "x", x, [&](auto element) {
      using T = typename decltype(element)::type;
      const auto run = [&](const auto& chosen) {
        feaug::augment(ctx, chosen, matrix_view<const T>(matrix<T>(op, "x", x)),
                       random_key_of(op, key), matrix<T>(op, "out", out));
      };
      with_policy(policy, run, [&](const auto& mix) {
        if (partner.data == nullptr) return run(mix);
        run(feaug::with_partner(mix, matrix<T>(op, "partner", partner)));
      });
    });
  });
}

void augment_backward(const caller& from, const augmentation& policy, const draw_key& key,
                      const side& x, const side& partner, const buffer& by_out) {
  const std::string_view op = policy.kind;
  lend_context(from, [&](context& ctx) {
    with_element(op, "x", x.value, [&](auto element) {
      using T = typename decltype(element)::type;
      const auto run = [&](const auto& chosen) {
        feaug::augment_backward(ctx, chosen, side_of<T>(op, "x", x), random_key_of(op, key),
                                matrix_view<const T>(matrix<T>(op, "grad_out", by_out)));
      };
      const auto has_none = [&](const auto& /*chosen*/) {
        feaug::check::fail("augment_backward", "kind", policy.kind, "a mix");
      };
      with_policy(policy, has_none, [&](const auto& mix) {
        if (partner.value.data == nullptr) return run(mix);
        run(feaug::with_partner(mix, side_of<T>(op, "partner", partner)));
      });
    });
  });
}

void l2_normalize(const caller& from, const buffer& x, const buffer& out) {
  constexpr std::string_view op = "l2_normalize";
  lend_context(from, [&](context& ctx) {
    with_element(op, "x", x, [&](auto element) {
      using T = typename decltype(element)::type;
      feaug::l2_normalize(ctx, matrix_view<const T>(matrix<T>(op, "x", x)),
                          matrix<T>(op, "out", out));
    });
  });
}

void l2_normalize_backward(const caller& from, const side& x, const buffer& by_out) {
  constexpr std::string_view op = "l2_normalize";
  lend_context(from, [&](context& ctx) {
    with_element(op, "x", x.value, [&](auto element) {
      using T = typename decltype(element)::type;
      feaug::l2_normalize_backward(ctx, side_of<T>(op, "x", x),
                                   matrix_view<const T>(matrix<T>(op, "grad_out", by_out)));
    });
  });
}

}  // namespace feaug_python
