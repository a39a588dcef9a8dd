// Registers every loss, and sinkhorn, on CUDA for the conformance runner.
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
#include "cuda/cuda_operators.hpp"
#include "operators/run_loss.hpp"
#include "support/operators/cuda_backend.hpp"
#include "support/operators/losses.hpp"

namespace conformance {

template <class T>
void add_cuda_losses(registry& operators) {
  add_losses<by_both_routes, cuda_backend, T>(operators);
  operators["sinkhorn"] = run_sinkhorn<cuda_backend, T>;
}

template void add_cuda_losses<double>(registry&);
template void add_cuda_losses<float>(registry&);

}  // namespace conformance
