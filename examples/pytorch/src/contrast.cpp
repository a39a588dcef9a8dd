// The PyTorch operators of the contrastive losses: info_nce, nt_xent, symmetric_info_nce, sigmoid,
// supervised_contrastive. Each converts its tensors to views and calls feaug.
#if defined(FEAUG_TORCH_CUDA)
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

namespace feaug_torch {

void info_nce(const caller& from, const loss_call& call, double temperature,
              std::int64_t positive_offset, bool in_batch_negatives) {
  static constexpr std::string_view names[] = {"queries", "keys", "negatives", "temperature"};
  run_loss(from, "info_nce", names, call, [&](context& ctx, const auto& typed) {
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
  static constexpr std::string_view names[] = {"a", "b", "temperature"};
  run_loss(from, "nt_xent", names, call, [&](context& ctx, const auto& typed) {
    feaug::nt_xent_with_gradients(ctx, typed.matrix(0), typed.matrix(1), typed.loss(),
                                  {.temperature = temperature,
                                   .decoupled = decoupled,
                                   .positive_weighting = positive_weighting,
                                   .learnable_temperature = typed.number(0),
                                   .row_weights = typed.weights(2 * typed.rows())});
  });
}

void symmetric_info_nce(const caller& from, const loss_call& call, double temperature) {
  static constexpr std::string_view names[] = {"queries", "keys", "temperature"};
  run_loss(from, "symmetric_info_nce", names, call, [&](context& ctx, const auto& typed) {
    feaug::symmetric_info_nce_with_gradients(ctx, typed.matrix(0), typed.matrix(1), typed.loss(),
                                             {.temperature = temperature,
                                              .learnable_temperature = typed.number(0),
                                              .row_weights = typed.weights(typed.rows())});
  });
}

void sigmoid(const caller& from, const loss_call& call, double scale, double bias) {
  static constexpr std::string_view names[] = {"a", "b", "scale", "bias"};
  run_loss(from, "sigmoid", names, call, [&](context& ctx, const auto& typed) {
    feaug::sigmoid_with_gradients(ctx, typed.matrix(0), typed.matrix(1), typed.loss(),
                                  {.scale = scale,
                                   .bias = bias,
                                   .learnable_scale = typed.number(0),
                                   .learnable_bias = typed.number(1),
                                   .row_weights = typed.weights(typed.rows())});
  });
}

void supervised_contrastive(const caller& from, const loss_call& call, double temperature) {
  static constexpr std::string_view names[] = {"features", "temperature"};
  run_loss(from, "supervised_contrastive", names, call, [&](context& ctx, const auto& typed) {
    feaug::supervised_contrastive_with_gradients(ctx, typed.matrix(0), typed.labels(), typed.loss(),
                                                 {.temperature = temperature,
                                                  .learnable_temperature = typed.number(0),
                                                  .row_weights = typed.weights(typed.rows())});
  });
}

}  // namespace feaug_torch
