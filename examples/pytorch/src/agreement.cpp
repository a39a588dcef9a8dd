// Losses without logits: negative_cosine, barlow_twins, vicreg.
#if defined(FEAUG_TORCH_CUDA)
#include <feaug/cuda/loss/barlow_twins.cuh>
#include <feaug/cuda/loss/negative_cosine.cuh>
#include <feaug/cuda/loss/vicreg.cuh>
#else
#include <feaug/cpu/loss/barlow_twins.hpp>
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

// Both are one loss of all rows, which have no weights: the gradient by the loss is a cotangent.

void barlow_twins(const caller& from, const loss_call& call, double lambda, double eps) {
  static constexpr std::string_view names[] = {"a", "b"};
  const feaug::barlow_twins_options options = {.lambda = lambda, .eps = eps};
  run_loss(from, "barlow_twins", names, call, [&](context& ctx, const auto& typed) {
    if (typed.by_loss().empty()) {
      feaug::barlow_twins_with_gradients(ctx, typed.matrix(0), typed.matrix(1), typed.loss(),
                                         options);
    } else {
      feaug::barlow_twins_backward(ctx, typed.matrix(0), typed.matrix(1), typed.by_loss(), options);
    }
  });
}

void vicreg(const caller& from, const loss_call& call, double invariance, double variance,
            double covariance, double eps) {
  static constexpr std::string_view names[] = {"a", "b"};
  const feaug::vicreg_options options = {
      .invariance = invariance, .variance = variance, .covariance = covariance, .eps = eps};
  run_loss(from, "vicreg", names, call, [&](context& ctx, const auto& typed) {
    if (typed.by_loss().empty()) {
      feaug::vicreg_with_gradients(ctx, typed.matrix(0), typed.matrix(1), typed.loss(), options);
    } else {
      feaug::vicreg_backward(ctx, typed.matrix(0), typed.matrix(1), typed.by_loss(), options);
    }
  });
}

}  // namespace feaug_torch
