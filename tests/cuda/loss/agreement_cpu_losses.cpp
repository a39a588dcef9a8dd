// Every loss of the CPU in four types.
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

// After what they call: names are looked up where these templates are written.
#include "cuda/loss/agreement_losses.hpp"
#include "support/operators/cpu_backend.hpp"
#include "support/operators/every_verb.hpp"
#include "support/operators/losses.hpp"

namespace agreement_test {

template <class T>
conformance::registry cpu_losses() {
  using backend = conformance::cpu_backend;
  conformance::registry all;
  conformance::add_losses<conformance::every_verb, backend, T>(all);
  all["assignment_loss"] = conformance::every_verb::run<conformance::assignment_loss<backend, T>>;
  all["sinkhorn"] = conformance::run_all_of_sinkhorn<backend, T>;
  return all;
}

template conformance::registry cpu_losses<double>();
template conformance::registry cpu_losses<float>();
template conformance::registry cpu_losses<feaug::half>();
template conformance::registry cpu_losses<feaug::bfloat16>();

}  // namespace agreement_test
