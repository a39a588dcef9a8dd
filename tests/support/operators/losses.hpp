// All losses by name.
#pragma once

#include "support/operators/assignment_losses.hpp"
#include "support/operators/contrastive_losses.hpp"
#include "support/operators/hard_negative_info_nce_loss.hpp"
#include "support/operators/paired_losses.hpp"
#include "support/operators/queue_losses.hpp"
#include "support/operators/soft_neighbour_contrast_loss.hpp"

namespace conformance {

/// Each is run by Run::run<Loss>(arguments).
template <class Run, class Backend, class T, class Registry>
void add_losses(Registry& operators) {
  operators["info_nce"] = Run::template run<info_nce_loss<Backend, T>>;
  operators["hard_negative_info_nce"] = Run::template run<hard_negative_info_nce_loss<Backend, T>>;
  operators["symmetric_info_nce"] = Run::template run<symmetric_info_nce_loss<Backend, T>>;
  operators["nt_xent"] = Run::template run<nt_xent_loss<Backend, T>>;
  operators["negative_cosine"] = Run::template run<negative_cosine_loss<Backend, T>>;
  operators["sigmoid"] = Run::template run<sigmoid_loss<Backend, T>>;
  operators["kl_to_standard_normal"] = Run::template run<kl_to_standard_normal_loss<Backend, T>>;
  operators["supervised_contrastive"] = Run::template run<supervised_contrastive_loss<Backend, T>>;
  operators["masked_prediction"] = Run::template run<masked_prediction_loss<Backend, T>>;
  operators["swapped_assignment"] = Run::template run<swapped_assignment_loss<Backend, T>>;
  operators["barlow_twins"] = Run::template run<barlow_twins_loss<Backend, T>>;
  operators["vicreg"] = Run::template run<vicreg_loss<Backend, T>>;
  operators["hypersphere"] = Run::template run<hypersphere_loss<Backend, T>>;
  operators["mean_shift"] = Run::template run<mean_shift_loss<Backend, T>>;
  operators["relation_distillation"] = Run::template run<relation_distillation_loss<Backend, T>>;
  operators["soft_neighbour_contrast"] =
      Run::template run<soft_neighbour_contrast_loss<Backend, T>>;
}

}  // namespace conformance
