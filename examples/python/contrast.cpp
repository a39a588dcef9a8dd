// Contrastive losses: info_nce, nt_xent, symmetric_info_nce, sigmoid, supervised_contrastive.
#if defined(FEAUG_PYTHON_CUDA)
#include <feaug/cuda/loss/info_nce.cuh>
#include <feaug/cuda/loss/nt_xent.cuh>
#include <feaug/cuda/loss/sigmoid.cuh>
#include <feaug/cuda/loss/supervised_contrastive.cuh>
#include <feaug/cuda/loss/symmetric_info_nce.cuh>
#else
#include <feaug/cpu/loss/info_nce.hpp>
#include <feaug/cpu/loss/nt_xent.hpp>
#include <feaug/cpu/loss/sigmoid.hpp>
#include <feaug/cpu/loss/supervised_contrastive.hpp>
#include <feaug/cpu/loss/symmetric_info_nce.hpp>
#endif

#include "losses.hpp"

namespace feaug_python {
namespace {

void info_nce(const caller& from, const loss_call& call, double temperature,
              std::int64_t positive_offset, bool in_batch_negatives) {
  run_loss(from, call, [&](context& ctx, const auto& typed) {
    feaug::info_nce_with_gradients(ctx, typed.matrix(0), typed.matrix(1), typed.loss(),
                                   {.temperature = temperature,
                                    .positive_offset = positive_offset,
                                    .in_batch_negatives = in_batch_negatives,
                                    .negatives = typed.matrix(2),
                                    .learnable_temperature = typed.number(0),
                                    .row_weights = typed.weights(typed.rows())});
  });
}

void nt_xent(const caller& from, const loss_call& call, double temperature, bool decoupled,
             double positive_weighting) {
  run_loss(from, call, [&](context& ctx, const auto& typed) {
    feaug::nt_xent_with_gradients(ctx, typed.matrix(0), typed.matrix(1), typed.loss(),
                                  {.temperature = temperature,
                                   .decoupled = decoupled,
                                   .positive_weighting = positive_weighting,
                                   .learnable_temperature = typed.number(0),
                                   .row_weights = typed.weights(2 * typed.rows())});
  });
}

void symmetric_info_nce(const caller& from, const loss_call& call, double temperature) {
  run_loss(from, call, [&](context& ctx, const auto& typed) {
    feaug::symmetric_info_nce_with_gradients(ctx, typed.matrix(0), typed.matrix(1), typed.loss(),
                                             {.temperature = temperature,
                                              .learnable_temperature = typed.number(0),
                                              .row_weights = typed.weights(typed.rows())});
  });
}

void sigmoid(const caller& from, const loss_call& call, double scale, double bias) {
  run_loss(from, call, [&](context& ctx, const auto& typed) {
    feaug::sigmoid_with_gradients(ctx, typed.matrix(0), typed.matrix(1), typed.loss(),
                                  {.scale = scale,
                                   .bias = bias,
                                   .learnable_scale = typed.number(0),
                                   .learnable_bias = typed.number(1),
                                   .row_weights = typed.weights(typed.rows())});
  });
}

void supervised_contrastive(const caller& from, const loss_call& call, double temperature) {
  run_loss(from, call, [&](context& ctx, const auto& typed) {
    feaug::supervised_contrastive_with_gradients(ctx, typed.matrix(0), typed.labels(), typed.loss(),
                                                 {.temperature = temperature,
                                                  .learnable_temperature = typed.number(0),
                                                  .row_weights = typed.weights(typed.rows())});
  });
}

constexpr loss_row rows[] = {
    row_of<&info_nce>(
        R"(info_nce(queries: Tensor, keys: Tensor, *, negatives: Tensor | None = None,
    temperature: float | Tensor = 0.1, positive_offset: int = 0,
    in_batch_negatives: bool = True))",
        R"(InfoNCE: the mean of −log softmax of every query's own key among all keys and negatives.

queries N × D, keys M × D, negatives K × D; the key of query i is key i + positive_offset.
in_batch_negatives=False: only `negatives` are negatives (MoCo). Logits are cosines /
temperature.)"),
    row_of<&nt_xent>(
        R"(nt_xent(z0: Tensor, z1: Tensor, *, temperature: float | Tensor = 0.5,
    decoupled: bool = False, positive_weighting: float = 0.0))",
        R"(NT-Xent, SimCLR's loss: classifies the other view of every row of two views (N × D) among the
2N − 1 other rows. decoupled: DCL, and with positive_weighting (its σ) DCLW.)"),
    row_of<&symmetric_info_nce>(
        R"(symmetric_info_nce(queries: Tensor, keys: Tensor, *,
    temperature: float | Tensor = 0.1))",
        R"(½ (info_nce(q, k) + info_nce(k, q)): CLIP's loss.)"),
    row_of<&sigmoid>(
        R"(sigmoid(z0: Tensor, z1: Tensor, *, scale: float | Tensor = 10.0,
    bias: float | Tensor = -10.0))",
        R"(SigLIP's loss: binary classification of every pair of rows, with logits scale·cos + bias.)"),
    row_of<&supervised_contrastive>(
        R"(supervised_contrastive(features: Tensor, labels: Tensor, *,
    temperature: float | Tensor = 0.1))",
        R"(SupCon's L_out: the positives of a row are all other rows with its label; the mean over rows
that have a positive.)"),
};

}  // namespace

std::span<const loss_row> contrastive_losses() { return rows; }

}  // namespace feaug_python
