// info_nce, hard_negative_info_nce, symmetric_info_nce, nt_xent, negative_cosine, sigmoid,
// supervised_contrastive, kl_to_standard_normal, masked_prediction, sinkhorn,
// swapped_assignment, barlow_twins, vicreg, hypersphere, mean_shift, relation_distillation,
// soft_neighbour_contrast.
#pragma once

#include "operators/assignments.hpp"
#include "operators/batch_losses.hpp"
#include "operators/contrastive_losses.hpp"
#include "operators/hard_negative_info_nce_loss.hpp"
#include "operators/kl_to_standard_normal_loss.hpp"
#include "operators/masked_prediction_loss.hpp"
#include "operators/mean_shift_loss.hpp"
#include "operators/negative_cosine_loss.hpp"
#include "operators/relation_distillation_loss.hpp"
#include "operators/run_loss.hpp"
#include "operators/sigmoid_loss.hpp"
#include "operators/soft_neighbour_contrast_loss.hpp"
#include "operators/supervised_contrastive_loss.hpp"
#include "registry.hpp"

namespace conformance {

template <class Backend, class T>
void add_losses(registry& operators) {
  operators["info_nce"] = run_loss<info_nce_loss<Backend, T>>;
  operators["hard_negative_info_nce"] = run_loss<hard_negative_info_nce_loss<Backend, T>>;
  operators["symmetric_info_nce"] = run_loss<symmetric_info_nce_loss<Backend, T>>;
  operators["nt_xent"] = run_loss<nt_xent_loss<Backend, T>>;
  operators["negative_cosine"] = run_loss<negative_cosine_loss<Backend, T>>;
  operators["sigmoid"] = run_loss<sigmoid_loss<Backend, T>>;
  operators["kl_to_standard_normal"] = run_loss<kl_to_standard_normal_loss<Backend, T>>;
  operators["supervised_contrastive"] = run_loss<supervised_contrastive_loss<Backend, T>>;
  operators["masked_prediction"] = run_loss<masked_prediction_loss<Backend, T>>;
  operators["sinkhorn"] = run_sinkhorn<Backend, T>;
  operators["swapped_assignment"] = run_loss<swapped_assignment_loss<Backend, T>>;
  operators["barlow_twins"] = run_loss<barlow_twins_loss<Backend, T>>;
  operators["vicreg"] = run_loss<vicreg_loss<Backend, T>>;
  operators["hypersphere"] = run_loss<hypersphere_loss<Backend, T>>;
  operators["mean_shift"] = run_loss<mean_shift_loss<Backend, T>>;
  operators["relation_distillation"] = run_loss<relation_distillation_loss<Backend, T>>;
  operators["soft_neighbour_contrast"] = run_loss<soft_neighbour_contrast_loss<Backend, T>>;
}

}  // namespace conformance
