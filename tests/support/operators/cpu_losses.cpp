// Instantiates every CPU loss for four types.
#include "feaug/cpu/loss/assignment_loss.hpp"
#include "feaug/cpu/loss/barlow_twins.hpp"
#include "feaug/cpu/loss/hard_negative_info_nce.hpp"
#include "feaug/cpu/loss/hypersphere.hpp"
#include "feaug/cpu/loss/info_nce.hpp"
#include "feaug/cpu/loss/kl_to_standard_normal.hpp"
#include "feaug/cpu/loss/masked_prediction.hpp"
#include "feaug/cpu/loss/mean_shift.hpp"
#include "feaug/cpu/loss/negative_cosine.hpp"
#include "feaug/cpu/loss/nt_xent.hpp"
#include "feaug/cpu/loss/relation_distillation.hpp"
#include "feaug/cpu/loss/sigmoid.hpp"
#include "feaug/cpu/loss/sinkhorn.hpp"
#include "feaug/cpu/loss/soft_neighbour_contrast.hpp"
#include "feaug/cpu/loss/supervised_contrastive.hpp"
#include "feaug/cpu/loss/swapped_assignment.hpp"
#include "feaug/cpu/loss/symmetric_info_nce.hpp"
#include "feaug/cpu/loss/vicreg.hpp"

// Last, because these templates call functions that the headers above declare.
#include "support/operators/cpu_backend.hpp"
#include "support/operators/cpu_losses.hpp"
#include "support/operators/every_verb.hpp"
#include "support/operators/losses.hpp"

namespace conformance {

template <class T>
registry cpu_losses() {
  registry all;
  add_losses<every_verb, cpu_backend, T>(all);
  all["assignment_loss"] = every_verb::run<assignment_loss<cpu_backend, T>>;
  all["sinkhorn"] = run_all_of_sinkhorn<cpu_backend, T>;
  return all;
}

template registry cpu_losses<double>();
template registry cpu_losses<float>();
template registry cpu_losses<feaug::half>();
template registry cpu_losses<feaug::bfloat16>();

}  // namespace conformance
