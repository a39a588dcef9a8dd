// l2_normalize, mask, interpolate, extrapolate.
//
// Another backend includes its own headers before this one: the calls below are found by the type
// of the context.
#pragma once

#include <vector>

#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/extrapolate.hpp"
#include "feaug/augment/interpolate.hpp"
#include "feaug/augment/l2_normalize.hpp"
#include "feaug/augment/mask.hpp"
#include "operators/operand_input.hpp"
#include "registry.hpp"

namespace conformance {

/// What an augmentation writes, of x's shape.
template <class Backend, class T>
class augmentation_output {
 public:
  explicit augmentation_output(const tensor& x) : x_(x), out_(unwritten<T>(x.data.size())) {}

  [[nodiscard]] feaug::matrix_view<T, Backend::space> view() {
    return view_of<Backend, 2, T>(out_, x_);
  }
  void add(results& to) const { to.add("out", x_.shape, out_.to_host()); }

 private:
  const tensor& x_;
  typename Backend::template array<T> out_;
};

/// The gradient by `out` that the case gives.
template <class Backend, class T>
class cotangent_input {
 public:
  explicit cotangent_input(arguments& given)
      : input_(given.input("grad_out", 2)), memory_(rounded<T>(input_)) {}

  [[nodiscard]] feaug::matrix_view<const T, Backend::space> view() {
    return view_of<Backend, 2, T>(memory_, input_);
  }

 private:
  const tensor& input_;
  typename Backend::template array<T> memory_;
};

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
  const auto policy = feaug::drawn_mask(keep.value(), rescale);
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

/// Mix is feaug::interpolate or feaug::extrapolate; the weights are those of the case.
template <class Backend, class T, class Mix>
results run_mix(arguments& given) {
  operand_input<Backend, T> x(given, "x");
  operand_input<Backend, T> partner(given, "partner");
  operand_input<Backend, T, 1> weight(given, "weight");
  const auto policy = feaug::with_weights(Mix{}, partner.operand(), weight.value());
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

template <class Backend, class T>
void add_augmentations(registry& operators) {
  operators["l2_normalize"] = run_l2_normalize<Backend, T>;
  operators["mask"] = run_mask<Backend, T>;
  operators["interpolate"] = run_mix<Backend, T, feaug::interpolate>;
  operators["extrapolate"] = run_mix<Backend, T, feaug::extrapolate>;
}

}  // namespace conformance
