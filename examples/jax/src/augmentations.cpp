// mask, gaussian_noise and interpolate. Draws depend on seed, step and stream, so that no draws are
// stored between the forward and the backward pass.
#if defined(FEAUG_JAX_CUDA)
#include <feaug/cuda/augment/mask.cuh>
#include <feaug/cuda/augment/mix.cuh>
#include <feaug/cuda/augment/noise.cuh>
#endif
#include <cstdint>
#include <feaug/core/random.hpp>
#include <feaug/cpu/augment/augmentation.hpp>
#include <feaug/cpu/augment/mask.hpp>
#include <feaug/cpu/augment/mix.hpp>
#include <feaug/cpu/augment/noise.hpp>
#include <string>

#include "buffers.hpp"

namespace feaug_jax {
namespace {

/// The step is an array, so that it may change without recompilation; the rest is known when XLA
/// compiles. `seed` has the bits of feaug's unsigned seed, since attributes of JAX are signed.
feaug::random_key key(std::string_view op, const input& step, std::int64_t seed,
                      std::uint16_t stream) {
  const auto* const counter = pairs<std::uint64_t>(op, "step", step, 1);
  feaug::random_key drawn = {.seed = static_cast<std::uint64_t>(seed), .stream = stream};
  if constexpr (space == feaug::memory_space::host) {
    // Checked here for the name of the argument, and for a negative number of an array.
    if (*counter >> 32 != 0) {
      feaug::check::fail(op, "step", std::to_string(static_cast<std::int64_t>(*counter)),
                         "a number from 0 to 2^32 - 1");
    }
    drawn.step = *counter;
  } else {
    drawn.device_step = counter;
  }
  return drawn;
}

template <class Policy>
ffi::Error augment(caller& from, const char* op, const Policy& policy, const input& x,
                   const input& step, output& out, std::int64_t seed, std::uint16_t stream) {
  return answer(from, [&](context& ctx) {
    with_element(op, "x", x, [&](auto element) {
      using T = decltype(element);
      feaug::augment(ctx, policy, matrix_view<const T>(matrix<T>(op, "x", x)),
                     key(op, step, seed, stream), matrix<T>(op, "out", *out));
    });
  });
}

ffi::Error mask(caller from, input x, input step, output out, std::int64_t seed,
                std::uint16_t stream, float keep_probability, bool rescale) {
  const feaug::mask policy = {.keep_probability = keep_probability,
                              .rescale = rescale ? feaug::rescale::row : feaug::rescale::none};
  return augment(from, "mask", policy, x, step, out, seed, stream);
}

ffi::Error gaussian_noise(caller from, input x, input step, output out, std::int64_t seed,
                          std::uint16_t stream, float scale, bool relative) {
  const feaug::gaussian_noise policy = {
      .scale = scale,
      .relative_to = relative ? feaug::noise_scale::row_norm : feaug::noise_scale::absolute};
  return augment(from, "gaussian_noise", policy, x, step, out, seed, stream);
}

/// `distribution`: 0 fixed at `first`, 1 uniform from `first` to `second`, 2 beta of both.
feaug::interpolate mix(std::int32_t distribution, float first, float second) {
  switch (distribution) {
    case 1:
      return {.distribution = feaug::weight_distribution::uniform, .low = first, .high = second};
    case 2:
      return {.distribution = feaug::weight_distribution::beta, .alpha = first, .beta = second};
    default:
      return {.weight = first};
  }
}

ffi::Error interpolate(caller from, input x, input step, output out, std::int64_t seed,
                       std::uint16_t stream, std::int32_t distribution, float first, float second) {
  return augment(from, "interpolate", mix(distribution, first, second), x, step, out, seed, stream);
}

ffi::Error interpolate_backward(caller from, input by_out, input step, output by_x,
                                std::int64_t seed, std::uint16_t stream, std::int32_t distribution,
                                float first, float second) {
  constexpr const char* op = "interpolate";
  return answer(from, [&](context& ctx) {
    with_element(op, "grad_out", by_out, [&](auto element) {
      using T = decltype(element);
      const matrix_view<const T> gradient = matrix<T>(op, "grad_out", by_out);
      // Only the shape of x is read, so the gradient stands in for it.
      feaug::augment_backward(
          ctx, mix(distribution, first, second),
          feaug::differentiable(gradient, matrix<T>(op, "gradient of x", *by_x)),
          key(op, step, seed, stream), gradient);
    });
  });
}

}  // namespace
}  // namespace feaug_jax

#define FEAUG_JAX_AUGMENTATION(name, ...)           \
  FEAUG_JAX_HANDLER(feaug_##name, feaug_jax::name,  \
                    xla::ffi::Ffi::Bind()           \
                        .Ctx<feaug_jax::caller>()   \
                        .Arg<feaug_jax::input>()    \
                        .Arg<feaug_jax::input>()    \
                        .Ret<feaug_jax::input>()    \
                        .Attr<std::int64_t>("seed") \
                        .Attr<std::uint16_t>("stream") __VA_ARGS__)

FEAUG_JAX_AUGMENTATION(mask, .Attr<float>("keep_probability").Attr<bool>("rescale"));
FEAUG_JAX_AUGMENTATION(gaussian_noise, .Attr<float>("scale").Attr<bool>("relative"));
FEAUG_JAX_AUGMENTATION(
    interpolate, .Attr<std::int32_t>("distribution").Attr<float>("first").Attr<float>("second"));
FEAUG_JAX_AUGMENTATION(
    interpolate_backward,
    .Attr<std::int32_t>("distribution").Attr<float>("first").Attr<float>("second"));
