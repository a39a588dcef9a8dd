// Losses of the agreement of two views: negative_cosine, barlow_twins, vicreg, hypersphere.
#if defined(FEAUG_PYTHON_CUDA)
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

namespace feaug_python {
namespace {

void negative_cosine(const caller& from, const loss_call& call, std::string_view form) {
  run_loss(from, call, [&](context& ctx, const auto& typed) {
    feaug::negative_cosine_with_gradients(
        ctx, typed.matrix(0), typed.matrix(1), typed.loss(),
        {.form = form == "byol" ? feaug::cosine_form::byol : feaug::cosine_form::simsiam,
         .row_weights = typed.weights(typed.rows())});
  });
}

/// A loss of all rows of a and b without row weights: by_loss is passed as the cotangent. Then only
/// the gradients are computed, and the loss is 0.
template <class WithGradients, class Backward>
void run_batch_loss(const caller& from, const loss_call& call, const WithGradients& with_gradients,
                    const Backward& backward) {
  run_loss(from, call, [&](context& ctx, const auto& typed) {
    if (typed.by_loss().empty()) {
      with_gradients(ctx, typed.matrix(0), typed.matrix(1), typed.loss());
    } else {
      backward(ctx, typed.matrix(0), typed.matrix(1), typed.by_loss());
      clear(ctx, call.loss.data, sizeof(*typed.loss().data));
    }
  });
}

void barlow_twins(const caller& from, const loss_call& call, double lambda, double eps) {
  const feaug::barlow_twins_options options = {.lambda = lambda, .eps = eps};
  run_batch_loss(
      from, call,
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
      from, call,
      [&](auto& ctx, const auto&... in) { feaug::vicreg_with_gradients(ctx, in..., options); },
      [&](auto& ctx, const auto&... in) { feaug::vicreg_backward(ctx, in..., options); });
}

void hypersphere(const caller& from, const loss_call& call, double t, double lam, double alpha) {
  const feaug::hypersphere_options options = {.t = t, .lam = lam, .alpha = alpha};
  run_batch_loss(
      from, call,
      [&](auto& ctx, const auto&... in) { feaug::hypersphere_with_gradients(ctx, in..., options); },
      [&](auto& ctx, const auto&... in) { feaug::hypersphere_backward(ctx, in..., options); });
}

constexpr loss_row rows[] = {
    row_of<&negative_cosine>(
        R"(negative_cosine(predictions: Tensor, targets: Tensor, *,
    form: Literal["simsiam", "byol"] = "simsiam"))",
        R"(SimSiam's −cos or BYOL's 2 − 2·cos between every row and its target. The target is
often a constant: detach it, or stop its gradient.)"),
    row_of<&barlow_twins>(
        R"(barlow_twins(z0: Tensor, z1: Tensor, *, lambda_param: float = 5e-3,
    eps: float = 1e-5))",
        R"(Σ_j (1 − C_jj)² + lambda_param · Σ_{j≠k} C_jk², where C has the correlations between the
features of the two views.)"),
    row_of<&vicreg>(
        R"(vicreg(z0: Tensor, z1: Tensor, *, lambda_param: float = 25.0,
    mu_param: float = 25.0, nu_param: float = 1.0, eps: float = 1e-4))",
        R"(lambda·invariance + mu·½·(variance terms of both views) + nu·(their covariance terms).)"),
    row_of<&hypersphere>(
        R"(hypersphere(z0: Tensor, z1: Tensor, *, t: float = 1.0, lam: float = 1.0,
    alpha: float = 2.0))",
        R"(mean ‖û0 − û1‖^alpha + lam·½·(sum of the uniformities of both views). The uniformity is
log mean exp(−t·‖û_i − û_j‖²) over pairs of unit rows.)"),
};

}  // namespace

std::span<const loss_row> agreement_losses() { return rows; }

}  // namespace feaug_python
