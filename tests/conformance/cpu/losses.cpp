// Registers every loss, and sinkhorn, on the CPU for the conformance runner.
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
#include "cpu/cpu_operators.hpp"
#include "operators/run_loss.hpp"
#include "support/operators/cpu_backend.hpp"
#include "support/operators/losses.hpp"

namespace conformance {

template <class T>
void add_cpu_losses(registry& operators) {
  add_losses<by_both_routes, cpu_backend, T>(operators);
  operators["sinkhorn"] = run_sinkhorn<cpu_backend, T>;
}

template void add_cpu_losses<double>(registry&);
template void add_cpu_losses<float>(registry&);

}  // namespace conformance
