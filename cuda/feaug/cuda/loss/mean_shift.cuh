// mean_shift on a GPU; see feaug/cpu/loss/mean_shift.hpp for what it computes.
#pragma once

#include <cmath>
#include <string_view>
#include <type_traits>

#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/quads.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/cuda/queue/compare_neighbours.cuh"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/mean_shift.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_mean_shift_options = mean_shift_options<T, memory_space::device>;

namespace cuda {

// A thread a row: its loss, and every neighbour's factor takes in what it weighs in the gradient.
// Registers: at most 96.
template <element T>
__global__ void __launch_bounds__(256, 2)
    mean_shift_rows_kernel(compared_neighbours<T> found, row_reduction<compute_t<T>> reduction,
                           double* along, double* losses) {
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x;
       i < found.queries.rows(); i += static_cast<index_t>(gridDim.x) * blockDim.x) {
    index_t count = 0;
    double cosine = 0;
    for (index_t rank = 0; rank < found.k(); ++rank) {
      if (found.slot(i, rank) < 0) continue;
      ++count;
      cosine += found.similarity[found.place(i, rank)];
    }
    const double share = count == 0 ? static_cast<double>(NAN) : 1.0 / static_cast<double>(count);
    const double weight = -2.0 * share * reduction.gradient_weight(i);
    for (index_t rank = 0; rank < found.k(); ++rank) found.factor[found.place(i, rank)] *= weight;
    along[i] = weight * cosine;
    losses[i] = 2.0 - 2.0 * cosine * share;
  }
}

template <element T>
class mean_shift_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;
  using slots_type = device_matrix<const index_t>;

  mean_shift_call(cuda_context& ctx, std::string_view op, const operand_type& prediction,
                  const device_support_rows<T>& support,
                  const device_mean_shift_options<T>& options,
                  const device_vector<const C>& cotangent = {})
      : call_(ctx, op), prediction_(prediction), support_(support), options_(options) {
    reduction_ = feaug::detail::mean_shift_arguments<T, memory_space::device>(
        op, prediction, support, options, cotangent);
    on_device(op, "prediction", prediction);
    on_device(op, support);
    on_device(op, reduction_);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  /// The targets' neighbours; their slots go to `indices` if that is there.
  slots_type search(const device_matrix<const T>& targets, const device_matrix<index_t>& indices) {
    const std::string_view op = call_.name();
    feaug::detail::mean_shift_search_arguments<T, memory_space::device>(
        op, prediction_, targets, support_, options_, indices);
    on_device(op, "targets", targets);
    on_device(op, "exclude_ids", options_.exclude_ids);
    on_device(op, "indices", indices);
    return find_neighbours<T>(call_, support_, targets, options_.exclude_ids, options_.k, indices);
  }

  /// Row losses where a loss is wanted, and the gradient if it is.
  void run(const slots_type& slots, const device_vector<C>& loss) {
    const index_t rows = reduction_.rows;
    const compared_neighbours<T> found =
        compare_neighbours<T>(call_, prediction_.value, support_.rows(), slots);
    auto* const along = call_.take<double>(rows);
    auto* const losses = call_.take<double>(rows);
    call_.launch(mean_shift_rows_kernel<T>, grid_size(rows, 256), 256, 0, found, reduction_, along,
                 losses);
    if (prediction_.wants_gradient()) {
      for_each_quad(call_, rows, prediction_.value.cols(), {},
                    neighbour_gradient_rows<T>{found, along, {}, prediction_});
    }
    if (!loss.empty()) write_loss(call_, reduction_, {losses, nullptr}, loss);
  }

 private:
  operation call_;
  operand_type prediction_;
  device_support_rows<T> support_;
  device_mean_shift_options<T> options_;
  row_reduction<C> reduction_;
};

}  // namespace cuda

/// The loss, as on the CPU, into one element or N of device memory. A target that exclude_ids leave
/// nothing, and every row beside an empty queue, has loss NaN; k may be more than the filled rows,
/// whose mean it then is. Scratch: 32 bytes a row, 24 a neighbour, and what nearest takes.
template <class P, class T = std::remove_const_t<P>>
requires element<T>
void mean_shift(cuda_context& ctx, const device_matrix<P>& prediction,
                const std::type_identity_t<device_matrix<const T>>& targets,
                const std::type_identity_t<device_support_rows<T>>& support,
                std::type_identity_t<device_vector<compute_t<T>>> loss,
                const std::type_identity_t<device_mean_shift_options<T>>& options = {},
                const device_matrix<index_t>& indices = {}) {
  constexpr std::string_view op = "mean_shift";
  cuda::mean_shift_call<T> call(ctx, op, stop_gradient(prediction), support, options);
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  cuda::on_device(op, "loss", loss);
  call.run(call.search(targets, indices), loss);
}

/// The gradient from the slots that mean_shift (or nearest) found, for a cotangent in device
/// memory. A slot that no row has counts as −1.
template <element T>
void mean_shift_backward(cuda_context& ctx, const operand<T, 2, memory_space::device>& prediction,
                         const std::type_identity_t<device_support_rows<T>>& support,
                         const std::type_identity_t<device_matrix<const index_t>>& indices,
                         std::type_identity_t<device_vector<const compute_t<T>>> cotangent,
                         const std::type_identity_t<device_mean_shift_options<T>>& options = {}) {
  constexpr std::string_view op = "mean_shift_backward";
  cuda::mean_shift_call<T> call(ctx, op, prediction, support, options, cotangent);
  feaug::detail::mean_shift_found_arguments<T, memory_space::device>(op, prediction, support,
                                                                     options, indices);
  check::has_cotangent(op, cotangent);
  cuda::on_device(op, "indices", indices);
  if (prediction.wants_gradient()) call.run(indices, {});
}

/// Loss and gradient after one search, for a cotangent of options.gradient_scale.
template <element T>
void mean_shift_with_gradients(
    cuda_context& ctx, const operand<T, 2, memory_space::device>& prediction,
    const std::type_identity_t<device_matrix<const T>>& targets,
    const std::type_identity_t<device_support_rows<T>>& support,
    std::type_identity_t<device_vector<compute_t<T>>> loss,
    const std::type_identity_t<device_mean_shift_options<T>>& options = {}) {
  constexpr std::string_view op = "mean_shift_with_gradients";
  cuda::mean_shift_call<T> call(ctx, op, prediction, support, options);
  check::loss_outputs(op, loss, call.outputs(), {}, 0);
  cuda::on_device(op, "loss", loss);
  call.run(call.search(targets, {}), loss);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
