// Instantiates every CPU loss for calls with an invalid argument.
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
#include "feaug/cpu/loss/soft_neighbour_contrast.hpp"
#include "feaug/cpu/loss/supervised_contrastive.hpp"
#include "feaug/cpu/loss/swapped_assignment.hpp"
#include "feaug/cpu/loss/symmetric_info_nce.hpp"
#include "feaug/cpu/loss/vicreg.hpp"

// Last, because these templates call functions that the headers above declare.
#include "support/operators/cpu_backend.hpp"
#include "support/operators/cpu_losses.hpp"
#include "support/operators/losses.hpp"
#include "support/operators/refusals.hpp"

namespace conformance {

refusal_registry cpu_loss_refusals() {
  refusal_registry losses;
  add_losses<refusing_verbs, cpu_backend, float>(losses);
  losses["assignment_loss"] = refusing_verbs::run<assignment_loss<cpu_backend, float>>;
  return losses;
}

}  // namespace conformance
