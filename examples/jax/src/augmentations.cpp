// The handlers of the augmentations. Draws depend on seed, step and stream, so that no draws are
// stored between the forward and the backward pass.
#include <cstdint>
#include <string>
#include <string_view>

#include "buffers.hpp"
#include "handler.hpp"
#include "resources.hpp"

namespace feaug_jax {
namespace {

using feaug_python::augmentation;
using feaug_python::draw_key;

/// The step is an array, so that it may change without recompilation; the rest is known when XLA
/// compiles. `seed` has the bits of feaug's unsigned seed, since attributes of JAX are signed.
draw_key key_of(const std::string& op, const input& step, std::int64_t seed, std::int64_t stream) {
  draw_key key = {.seed = seed, .step = counters(op, "step", step, 1), .stream = stream};
#if defined(FEAUG_PYTHON_CUDA)
  key.step_on_host = false;
#else
  // Checked here for the name of the argument, and for a negative number of an array.
  if (*key.step >> 32 != 0)
    refuse(op, "step", std::to_string(*key.step), "a number from 0 to 2^32 - 1");
#endif
  return key;
}

ffi::Error augment(resources from, input x, input step, output out, std::string_view kind,
                   std::int64_t option, double first, double second, std::int64_t seed,
                   std::int64_t stream) {
  return answer([&] {
    const std::string op(kind);
    feaug_python::augment(from.caller(), {kind, option, first, second},
                          key_of(op, step, seed, stream), matrix(op, "x", x), {},
                          matrix(op, "out", *out));
  });
}

ffi::Error augment_backward(resources from, input by_out, input step, output by_x,
                            std::string_view kind, std::int64_t option, double first, double second,
                            std::int64_t seed, std::int64_t stream) {
  return answer([&] {
    const std::string op(kind);
    const buffer gradient = matrix(op, "grad_out", by_out);
    // Only the shape of x is read, so the gradient stands in for it.
    feaug_python::augment_backward(from.caller(), {kind, option, first, second},
                                   key_of(op, step, seed, stream),
                                   {gradient, matrix(op, "gradient of x", *by_x)}, {}, gradient);
  });
}

}  // namespace
}  // namespace feaug_jax

#define FEAUG_JAX_AUGMENTATION(symbol, function)        \
  FEAUG_JAX_HANDLER(symbol, function,                   \
                    xla::ffi::Ffi::Bind()               \
                        .Ctx<feaug_jax::resources>()    \
                        .Arg<feaug_jax::input>()        \
                        .Arg<feaug_jax::input>()        \
                        .Ret<feaug_jax::input>()        \
                        .Attr<std::string_view>("kind") \
                        .Attr<std::int64_t>("option")   \
                        .Attr<double>("first")          \
                        .Attr<double>("second")         \
                        .Attr<std::int64_t>("seed")     \
                        .Attr<std::int64_t>("stream"))

FEAUG_JAX_AUGMENTATION(feaug_augment, feaug_jax::augment);
FEAUG_JAX_AUGMENTATION(feaug_augment_backward, feaug_jax::augment_backward);
