// info_nce, nt_xent and negative_cosine: the loss and the requested gradients.
#include <type_traits>

#if defined(FEAUG_JAX_CUDA)
#include <feaug/cuda/loss/info_nce.cuh>
#include <feaug/cuda/loss/negative_cosine.cuh>
#include <feaug/cuda/loss/nt_xent.cuh>
#else
#include <feaug/cpu/loss/info_nce.hpp>
#include <feaug/cpu/loss/negative_cosine.hpp>
#include <feaug/cpu/loss/nt_xent.hpp>
#endif

#include "buffers.hpp"

namespace feaug_jax {
namespace {

/// A temperature. It is an array, so that it may change between steps or be learnable.
template <class T>
feaug::operand<feaug::compute_t<T>, 1, space> number(std::string_view op, std::string_view argument,
                                                     const input& value, output& gradient) {
  using C = feaug::compute_t<T>;
  const vector_view<const C> view = vector<C>(op, argument, value);
  if (gradient->element_count() == 0) return feaug::stop_gradient(view);
  return feaug::differentiable(view, vector<C>(op, argument, *gradient));
}

ffi::Error info_nce(caller from, input queries, input keys, input temperature, output loss,
                    output by_queries, output by_keys, output by_temperature) {
  return answer(from, [&](context& ctx) {
    with_element("info_nce", "queries", queries, [&](auto element) {
      using T = decltype(element);
      feaug::info_nce_with_gradients(ctx, side<T>("info_nce", "queries", queries, by_queries),
                                     side<T>("info_nce", "keys", keys, by_keys),
                                     vector<feaug::compute_t<T>>("info_nce", "loss", *loss),
                                     {.learnable_temperature = number<T>(
                                          "info_nce", "temperature", temperature, by_temperature)});
    });
  });
}

ffi::Error nt_xent(caller from, input a, input b, input temperature, output loss, output by_a,
                   output by_b, output by_temperature) {
  return answer(from, [&](context& ctx) {
    with_element("nt_xent", "a", a, [&](auto element) {
      using T = decltype(element);
      feaug::nt_xent_with_gradients(
          ctx, side<T>("nt_xent", "a", a, by_a), side<T>("nt_xent", "b", b, by_b),
          vector<feaug::compute_t<T>>("nt_xent", "loss", *loss),
          {.learnable_temperature =
               number<T>("nt_xent", "temperature", temperature, by_temperature)});
    });
  });
}

ffi::Error negative_cosine(caller from, input prediction, input target, output loss,
                           output by_prediction, output by_target, bool simsiam) {
  return answer(from, [&](context& ctx) {
    with_element("negative_cosine", "prediction", prediction, [&](auto element) {
      using T = decltype(element);
      feaug::negative_cosine_with_gradients(
          ctx, side<T>("negative_cosine", "prediction", prediction, by_prediction),
          side<T>("negative_cosine", "target", target, by_target),
          vector<feaug::compute_t<T>>("negative_cosine", "loss", *loss),
          {.form = simsiam ? feaug::cosine_form::simsiam : feaug::cosine_form::byol});
    });
  });
}

}  // namespace
}  // namespace feaug_jax

#define FEAUG_JAX_CONTRAST(name)                   \
  FEAUG_JAX_HANDLER(feaug_##name, feaug_jax::name, \
                    xla::ffi::Ffi::Bind()          \
                        .Ctx<feaug_jax::caller>()  \
                        .Arg<feaug_jax::input>()   \
                        .Arg<feaug_jax::input>()   \
                        .Arg<feaug_jax::input>()   \
                        .Ret<feaug_jax::input>()   \
                        .Ret<feaug_jax::input>()   \
                        .Ret<feaug_jax::input>()   \
                        .Ret<feaug_jax::input>())

FEAUG_JAX_CONTRAST(info_nce);
FEAUG_JAX_CONTRAST(nt_xent);
FEAUG_JAX_HANDLER(feaug_negative_cosine, feaug_jax::negative_cosine,
                  xla::ffi::Ffi::Bind()
                      .Ctx<feaug_jax::caller>()
                      .Arg<feaug_jax::input>()
                      .Arg<feaug_jax::input>()
                      .Ret<feaug_jax::input>()
                      .Ret<feaug_jax::input>()
                      .Ret<feaug_jax::input>()
                      .Attr<bool>("simsiam"));
