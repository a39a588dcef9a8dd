// CUDA implementation of hard_negative_info_nce: InfoNCE with synthetic hard negatives (MoCHi,
// SynCo).
#pragma once

#include "feaug/header_begin.hpp"

#include <limits>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/augment/noise.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/loss/info_nce.cuh"
#include "feaug/cuda/loss/synthetic_rows.cuh"
#include "feaug/cuda/queue/nearest.cuh"
#include "feaug/loss/hard_negative_info_nce.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// One call of the loss; the constructor checks the arguments. Runs info_nce with the synthetic
/// negatives added to the softmax. Scratch memory: that of info_nce and of nearest (for rows that
/// are not normalised), 8 bytes per query and hardest negative, 16 bytes per query and synthetic
/// negative.
template <element T>
class hard_negative_info_nce_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;

  hard_negative_info_nce_call(cuda_context& ctx, std::string_view op, const operand_type& queries,
                              const operand_type& keys, const device_synthetic_negatives<T>& how,
                              const device_info_nce_options<T>& options,
                              const feaug::detail::loss_vectors<C, memory_space::device>& vectors)
      : how_(how),
        queries_(queries.value),
        negatives_(options.negatives.value),
        base_(ctx, op, queries, keys, options, vectors) {
    check::synthesis(op, how, queries, keys, options.negatives, vectors);
    on_device(op, "ids", how.ids);
    on_device(op, "exclude_ids", how.exclude_ids);
    on_device(op, "drawn.first", how.drawn.first);
    on_device(op, "drawn.second", how.drawn.second);
    on_device(op, "drawn.weights", how.drawn.weights);
    on_device(op, "drawn.noise", how.drawn.noise);
  }

  [[nodiscard]] index_t outputs() const { return base_.outputs(); }
  [[nodiscard]] index_t statistics_size() const { return base_.statistics_size(); }

  void forward(const device_vector<C>& loss, const device_vector<C>& statistics) {
    if (is_plain()) return base_.forward(loss, statistics);
    base_.prepare();
    softmax(false, {});
    base_.write(loss, statistics);
  }
  void forward_and_backward(const device_vector<C>& loss) {
    if (is_plain()) return base_.forward_and_backward(loss);
    base_.prepare();
    softmax(true, {});
    base_.key_gradients();
    base_.write(loss, {});
  }
  void backward(const device_vector<const C>& statistics) {
    if (is_plain()) return base_.backward(statistics);
    base_.prepare();
    softmax(true, statistics);
    base_.key_gradients();
  }

 private:
  /// No synthetic negatives: the loss is info_nce.
  [[nodiscard]] bool is_plain() const { return how_.counts.total() == 0; }

  /// If given, `statistics` replace the log-sums, as in any backward pass.
  void softmax(bool gradients, const device_vector<const C>& statistics) {
    const synthesis_problem<T> problem = {.queries = base_.query_rows(),
                                          .negatives = base_.negative_rows(),
                                          .how = how_,
                                          .slots = find_hardest(),
                                          .cols = queries_.cols(),
                                          .temperature = base_.temperature()};
    base_.softmax(gradients, [&](const row_results& results, C* mean) {
      join_synthetic(base_.call(), problem, results, mean, statistics);
    });
  }

  /// The hardest negatives of every query, N × hardest.
  const index_t* find_hardest() {
    auto* const slots = base_.call().template take<index_t>(queries_.rows() * how_.hardest);
    operation search(base_.call().context(), base_.call().name());  // frees its scratch
    find_rows<T>(search,
                 {.rows = negatives_,
                  .filter = {.capacity = negatives_.rows(),
                             .ids = how_.ids,
                             .exclude_ids = how_.exclude_ids},
                  .inverse_norms = base_.negative_rows().inverse},
                 false, queries_,
                 {.rows = negatives_,
                  .outputs = {.indices = {slots, queries_.rows(), how_.hardest}},
                  .k = how_.hardest,
                  .nothing = store<T>(std::numeric_limits<C>::quiet_NaN())});
    return slots;
  }

  device_synthetic_negatives<T> how_;
  device_matrix<const T> queries_;
  device_matrix<const T> negatives_;
  info_nce_call<T> base_;
};

}  // namespace cuda

template <element T>
struct detail::hard_negative_info_nce_call<cuda_context, T> : cuda::hard_negative_info_nce_call<T> {
  using cuda::hard_negative_info_nce_call<T>::hard_negative_info_nce_call;
};

template <element T>
struct detail::synthesis_draws<cuda_context, T> {
  static void run(cuda_context& ctx, const device_synthetic_negatives<T>& how,
                  const synthesis_outputs<T, memory_space::device>& outputs) {
    const cuda::operation call(ctx, "draw");
    const index_t count = outputs.first.rows() * how.counts.total();
    call.launch(cuda::draw_synthesis_kernel<T>, cuda::grid_size(count, 256), 256, 0, how, outputs);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
