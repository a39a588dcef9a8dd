// Losses of the agreement of two views: negative_cosine, barlow_twins, vicreg, hypersphere.
#if defined(FEAUG_TORCH_CUDA)
#include <feaug/cuda/loss/barlow_twins.cuh>
#include <feaug/cuda/loss/hypersphere.cuh>
#include <feaug/cuda/loss/negative_cosine.cuh>
#include <feaug/cuda/loss/vicreg.cuh>
#else
#include <feaug/cpu/loss/barlow_twins.hpp>
#include <feaug/cpu/loss/hypersphere.hpp>
#include <feaug/cpu/loss/negative_cosine.hpp>
#include <feaug/cpu/loss/vicreg.hpp>
#endif

#include "losses.hpp"

namespace feaug_torch {

void negative_cosine(const caller& from, const loss_call& call, bool simsiam) {
  static constexpr std::string_view names[] = {"predictions", "targets"};
  run_loss(from, "negative_cosine", names, call, [&](context& ctx, const auto& typed) {
    feaug::negative_cosine_with_gradients(
        ctx, typed.matrix(0), typed.matrix(1), typed.loss(),
        {.form = simsiam ? feaug::cosine_form::simsiam : feaug::cosine_form::byol,
         .row_weights = typed.weights(typed.rows())});
  });
}

/// A loss of all rows of a and b without row weights: by_loss is passed as the cotangent.
template <class WithGradients, class Backward>
void run_batch_loss(const caller& from, std::string_view op, const loss_call& call,
                    const WithGradients& with_gradients, const Backward& backward) {
  static constexpr std::string_view names[] = {"a", "b"};
  run_loss(from, op, names, call, [&](context& ctx, const auto& typed) {
    if (typed.by_loss().empty()) {
      with_gradients(ctx, typed.matrix(0), typed.matrix(1), typed.loss());
    } else {
      backward(ctx, typed.matrix(0), typed.matrix(1), typed.by_loss());
    }
  });
}

void barlow_twins(const caller& from, const loss_call& call, double lambda, double eps) {
  const feaug::barlow_twins_options options = {.lambda = lambda, .eps = eps};
  run_batch_loss(
      from, "barlow_twins", call,
      [&](auto& ctx, const auto&... in) {
        feaug::barlow_twins_with_gradients(ctx, in..., options);
      },
      [&](auto& ctx, const auto&... in) { feaug::barlow_twins_backward(ctx, in..., options); });
}

void vicreg(const caller& from, const loss_call& call, double invariance, double variance,
            double covariance, double eps) {
  const feaug::vicreg_options options = {
      .invariance = invariance, .variance = variance, .covariance = covariance, .eps = eps};
  run_batch_loss(
      from, "vicreg", call,
      [&](auto& ctx, const auto&... in) { feaug::vicreg_with_gradients(ctx, in..., options); },
      [&](auto& ctx, const auto&... in) { feaug::vicreg_backward(ctx, in..., options); });
}

void hypersphere(const caller& from, const loss_call& call, double t, double lam, double alpha) {
  const feaug::hypersphere_options options = {.t = t, .lam = lam, .alpha = alpha};
  run_batch_loss(
      from, "hypersphere", call,
      [&](auto& ctx, const auto&... in) { feaug::hypersphere_with_gradients(ctx, in..., options); },
      [&](auto& ctx, const auto&... in) { feaug::hypersphere_backward(ctx, in..., options); });
}

}  // namespace feaug_torch
