// Instantiates every GPU loss for four types.
#include "feaug/cuda/loss/assignment_loss.cuh"
#include "feaug/cuda/loss/barlow_twins.cuh"
#include "feaug/cuda/loss/hard_negative_info_nce.cuh"
#include "feaug/cuda/loss/hypersphere.cuh"
#include "feaug/cuda/loss/info_nce.cuh"
#include "feaug/cuda/loss/kl_to_standard_normal.cuh"
#include "feaug/cuda/loss/masked_prediction.cuh"
#include "feaug/cuda/loss/mean_shift.cuh"
#include "feaug/cuda/loss/negative_cosine.cuh"
#include "feaug/cuda/loss/nt_xent.cuh"
#include "feaug/cuda/loss/relation_distillation.cuh"
#include "feaug/cuda/loss/sigmoid.cuh"
#include "feaug/cuda/loss/sinkhorn.cuh"
#include "feaug/cuda/loss/soft_neighbour_contrast.cuh"
#include "feaug/cuda/loss/supervised_contrastive.cuh"
#include "feaug/cuda/loss/swapped_assignment.cuh"
#include "feaug/cuda/loss/symmetric_info_nce.cuh"
#include "feaug/cuda/loss/vicreg.cuh"

// Last, because these templates call functions that the headers above declare.
#include "cuda/loss/agreement_losses.hpp"
#include "support/operators/cuda_backend.hpp"
#include "support/operators/every_verb.hpp"
#include "support/operators/losses.hpp"

namespace agreement_test {

template <class T>
conformance::registry cuda_losses() {
  using backend = conformance::cuda_backend;
  conformance::registry all;
  conformance::add_losses<conformance::every_verb, backend, T>(all);
  all["assignment_loss"] = conformance::every_verb::run<conformance::assignment_loss<backend, T>>;
  all["sinkhorn"] = conformance::run_all_of_sinkhorn<backend, T>;
  return all;
}

conformance::refusal_registry refusing_cuda_losses() {
  using backend = conformance::cuda_backend;
  using conformance::refusing_verbs;
  conformance::refusal_registry all;
  conformance::add_losses<refusing_verbs, backend, float>(all);
  all["assignment_loss"] = refusing_verbs::run<conformance::assignment_loss<backend, float>>;
  return all;
}

template conformance::registry cuda_losses<double>();
template conformance::registry cuda_losses<float>();
template conformance::registry cuda_losses<feaug::half>();
template conformance::registry cuda_losses<feaug::bfloat16>();

}  // namespace agreement_test
