// l2_normalize, mask, interpolate, extrapolate.
#include <string>

#include "cpu_operators.hpp"
#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/extrapolate.hpp"
#include "feaug/augment/interpolate.hpp"
#include "feaug/augment/l2_normalize.hpp"
#include "feaug/augment/mask.hpp"
#include "matrix.hpp"

namespace conformance::cpu {
namespace {

template <class T>
results l2_normalize(arguments& given) {
  variable<T> x(given, "x");
  matrix<T> grad_out(given.input("grad_out", 2));
  matrix<T> out(x.rows(), x.cols());
  const feaug::l2_normalize_options options{.eps = given.option<double>("eps", 1e-12)};
  feaug::cpu_context ctx{.threads = 2};
  feaug::l2_normalize(ctx, x.view(), out.view(), options);
  feaug::l2_normalize_backward(ctx, x.operand(), grad_out.view(), options);
  results all;
  all.add("out", {x.rows(), x.cols()}, out.data);
  x.report(all);
  return all;
}

/// Any policy: forward, then backward from grad_out.
template <class T, class Policy>
results augmented(arguments& given, variable<T>& x, const Policy& policy) {
  matrix<T> grad_out(given.input("grad_out", 2));
  matrix<T> out(x.rows(), x.cols());
  feaug::cpu_context ctx{.threads = 2};
  feaug::augment(ctx, policy, x.view(), {}, out.view());
  feaug::augment_backward(ctx, policy, x.operand(), {}, grad_out.view());
  results all;
  all.add("out", {x.rows(), x.cols()}, out.data);
  x.report(all);
  return all;
}

template <class T>
results mask(arguments& given) {
  variable<T> x(given, "x");
  matrix<T> keep = constant<T>(given, "keep");
  const auto rescale = given.choice<feaug::rescale>(
      "rescale", "none", {{"none", feaug::rescale::none}, {"row", feaug::rescale::row}});
  return augmented(given, x, feaug::drawn_mask(keep.view(), rescale));
}

template <class T, class Mix>
results mixed(arguments& given) {
  variable<T> x(given, "x");
  variable<T> partner(given, "partner");
  if (!given.stopped("weight")) throw std::runtime_error("inputs.weight has no gradient: stop_gradient must name it");
  const std::vector<T> weights = numbers<T>(given.input("weight", 1));
  results all = augmented(given, x,
                          feaug::with_weights(Mix{}, partner.operand(),
                                              {weights.data(), static_cast<index_t>(weights.size())}));
  partner.report(all);
  return all;
}

}  // namespace

template <class T>
void add_augmentations(registry& operators) {
  operators["l2_normalize"] = l2_normalize<T>;
  operators["mask"] = mask<T>;
  operators["interpolate"] = mixed<T, feaug::interpolate>;
  operators["extrapolate"] = mixed<T, feaug::extrapolate>;
}

template void add_augmentations<double>(registry&);
template void add_augmentations<float>(registry&);

}  // namespace conformance::cpu
