// hard_negative_info_nce on a GPU; see feaug/cpu/loss/hard_negative_info_nce.hpp for what it
// computes.
#pragma once

#include <concepts>
#include <limits>
#include <string_view>
#include <type_traits>

#include "feaug/augment/noise.hpp"
#include "feaug/cuda/augment/noise.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/loss/info_nce.cuh"
#include "feaug/cuda/loss/synthetic_rows.cuh"
#include "feaug/cuda/queue/nearest.cuh"
#include "feaug/loss/hard_negative_info_nce.hpp"
#include "feaug/loss/info_nce.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda {

/// A validated call: info_nce's, whose soft-maxes take in synthetic negatives.
template <element T>
class hard_negative_info_nce_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;

  hard_negative_info_nce_call(cuda_context& ctx, std::string_view op, const operand_type& queries,
                              const operand_type& keys, const device_synthetic_negatives<T>& how,
                              const device_info_nce_options<T>& options,
                              const device_vector<const C>& cotangent = {})
      : how_(how),
        queries_(queries.value),
        negatives_(options.negatives.value),
        base_(ctx, op, queries, keys, options, cotangent) {
    check::synthesis(op, how, queries, keys, options.negatives);
    on_device(op, "ids", how.ids);
    on_device(op, "exclude_ids", how.exclude_ids);
    on_device(op, "drawn.first", how.drawn.first);
    on_device(op, "drawn.second", how.drawn.second);
    on_device(op, "drawn.weights", how.drawn.weights);
    on_device(op, "drawn.noise", how.drawn.noise);
  }

  void prepare() { base_.prepare(); }

  void forward(bool gradients) {
    if (how_.counts.total() == 0) {
      base_.forward(gradients);
    } else {
      forward_with_synthetic(gradients, {});
    }
  }
  void key_gradients() { base_.key_gradients(); }

  void backward(const device_vector<const C>& statistics) {
    if (how_.counts.total() == 0) {
      base_.backward(statistics);
    } else {
      forward_with_synthetic(true, statistics);
      base_.key_gradients();
    }
  }

  void write(const device_vector<C>& loss, const device_vector<C>& statistics) const {
    base_.write(loss, statistics);
  }
  [[nodiscard]] index_t outputs() const { return base_.outputs(); }

 private:
  /// Given statistics take the place of the log sums, as in any backward pass.
  void forward_with_synthetic(bool gradients, const device_vector<const C>& statistics) {
    const synthesis_problem<T> problem = {.queries = base_.query_stack(),
                                          .negatives = base_.negative_stack(),
                                          .how = how_,
                                          .slots = find_hardest(),
                                          .cols = queries_.cols(),
                                          .temperature = base_.temperature()};
    base_.forward(gradients, [&](const row_results& results, C* mean) {
      join_synthetic(base_.call(), problem, results, mean, statistics);
    });
  }

  /// The hardest negatives of every query, N × hardest.
  const index_t* find_hardest() {
    auto* const slots = base_.call().template take<index_t>(queries_.rows() * how_.hardest);
    operation search(base_.call().context(), base_.call().name());  // gives its scratch back
    find_rows<T>(search,
                 {.rows = negatives_,
                  .filter = {.capacity = negatives_.rows(),
                             .ids = how_.ids,
                             .exclude_ids = how_.exclude_ids},
                  .inverse_norms = base_.negative_stack().inverse},
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

/// The loss, as on the CPU, into one element or N of device memory. Scratch: info_nce's, nearest's
/// for rows of any norm, 8 bytes a query and hardest negative, 16 a query and synthetic one.
template <class Q, class K, class T = std::remove_const_t<Q>>
requires element<T> && std::same_as<T, std::remove_const_t<K>>
void hard_negative_info_nce(cuda_context& ctx, const device_matrix<Q>& queries,
                            const device_matrix<K>& keys,
                            const std::type_identity_t<device_synthetic_negatives<T>>& synthesis,
                            std::type_identity_t<device_vector<compute_t<T>>> loss,
                            const std::type_identity_t<device_info_nce_options<T>>& options = {},
                            std::type_identity_t<device_vector<compute_t<T>>> statistics = {}) {
  constexpr std::string_view op = "hard_negative_info_nce";
  cuda::hard_negative_info_nce_call<T> call(ctx, op, stop_gradient(queries), stop_gradient(keys),
                                            synthesis, options);
  check::loss_outputs(op, loss, call.outputs(), statistics, queries.rows());
  cuda::on_device(op, "loss", loss);
  cuda::on_device(op, "statistics", statistics);
  call.prepare();
  call.forward(false);
  call.write(loss, statistics);
}

/// The gradients from what hard_negative_info_nce left in `statistics`, for a cotangent in device
/// memory.
template <element T>
void hard_negative_info_nce_backward(
    cuda_context& ctx, const operand<T, 2, memory_space::device>& queries,
    const operand<T, 2, memory_space::device>& keys,
    const std::type_identity_t<device_synthetic_negatives<T>>& synthesis,
    std::type_identity_t<device_vector<const compute_t<T>>> statistics,
    std::type_identity_t<device_vector<const compute_t<T>>> cotangent,
    const std::type_identity_t<device_info_nce_options<T>>& options = {}) {
  constexpr std::string_view op = "hard_negative_info_nce_backward";
  cuda::hard_negative_info_nce_call<T> call(ctx, op, queries, keys, synthesis, options, cotangent);
  check::backward_inputs(op, statistics, queries.value.rows(), cotangent);
  cuda::on_device(op, "statistics", statistics);
  call.prepare();
  call.backward(statistics);
}

/// Loss and gradients in one go, for a cotangent of options.gradient_scale.
template <element T>
void hard_negative_info_nce_with_gradients(
    cuda_context& ctx, const operand<T, 2, memory_space::device>& queries,
    const operand<T, 2, memory_space::device>& keys,
    const std::type_identity_t<device_synthetic_negatives<T>>& synthesis,
    std::type_identity_t<device_vector<compute_t<T>>> loss,
    const std::type_identity_t<device_info_nce_options<T>>& options = {}) {
  constexpr std::string_view op = "hard_negative_info_nce_with_gradients";
  cuda::hard_negative_info_nce_call<T> call(ctx, op, queries, keys, synthesis, options);
  check::loss_outputs(op, loss, call.outputs(), {}, queries.value.rows());
  cuda::on_device(op, "loss", loss);
  call.prepare();
  call.forward(true);
  call.key_gradients();
  call.write(loss, {});
}

/// What a synthesis draws by its key, as on the CPU.
template <element T>
void draw(cuda_context& ctx, const device_synthetic_negatives<T>& synthesis,
          const device_matrix<index_t>& first, const device_matrix<index_t>& second,
          const std::type_identity_t<device_matrix<compute_t<T>>>& weights,
          const std::type_identity_t<device_matrix<compute_t<T>>>& noise) {
  check::synthesis_outputs(synthesis, first, second, weights, noise);
  cuda::on_device("draw", "first", first);
  cuda::on_device("draw", "second", second);
  cuda::on_device("draw", "weights", weights);
  cuda::on_device("draw", "noise", noise);
  const index_t count = first.rows() * synthesis.counts.total();
  if (count == 0) return;
  const cuda::operation call(ctx, "draw");
  call.launch(cuda::draw_synthesis_kernel<T>, cuda::grid_size(count, 256), 256, 0, synthesis,
              cuda::synthesis_outputs<T>{first, second, weights});
  if (synthesis.counts.noisy == 0) return;
  draw(ctx, gaussian_noise{}, detail::noise_key(synthesis.key, synthesis.counts.noisy), noise);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
