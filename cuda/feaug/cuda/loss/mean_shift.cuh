// CUDA implementation of mean_shift: pulls a prediction to the nearest neighbours of its target.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/vec4.cuh"
#include "feaug/cuda/loss/row_losses.cuh"
#include "feaug/cuda/queue/compare_neighbours.cuh"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/loss/mean_shift.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_mean_shift_options = mean_shift_options<T, memory_space::device>;

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

// Row losses and along[i]; multiplies every neighbour's factor by its weight in the gradient. One
// thread per row. Limited by memory bandwidth: reads 24·k, writes 8·k + 16 bytes a row. Registers:
// at most 96.
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

/// One call of the loss; the constructor checks the arguments. Scratch: 32 bytes a row, 24 a
/// neighbour, and that of nearest.
template <element T>
class mean_shift_call {
 public:
  using C = compute_t<T>;
  using operand_type = operand<T, 2, memory_space::device>;
  using neighbours_type = feaug::detail::mean_shift_neighbours<T, memory_space::device>;

  mean_shift_call(cuda_context& ctx, std::string_view op, const operand_type& prediction,
                  const device_support_rows<T>& support, const neighbours_type& neighbours,
                  const device_mean_shift_options<T>& options,
                  const feaug::detail::loss_vectors<C, memory_space::device>& vectors)
      : call_(ctx, op),
        prediction_(prediction),
        support_(support),
        neighbours_(neighbours),
        options_(options) {
    reduction_ = feaug::detail::mean_shift_arguments<T, memory_space::device>(
        op, prediction, support, neighbours, options, vectors);
    on_device(op, "prediction", prediction);
    on_device(op, support);
    on_device(op, reduction_);
    on_device(op, "targets", neighbours.targets);
    if (!neighbours.are_found) on_device(op, "exclude_ids", options.exclude_ids);
    on_device(op, "indices", neighbours.indices);
    on_device(op, "indices", neighbours.found);
  }

  [[nodiscard]] index_t outputs() const { return reduction_.outputs(); }

  void run(const device_vector<C>& loss) {
    if (loss.empty() && !prediction_.wants_gradient()) return;
    const index_t rows = reduction_.rows;
    const compared_neighbours<T> found =
        compare_neighbours<T>(call_, prediction_.value, support_.rows(), slots());
    auto* const along = call_.take<double>(rows);
    auto* const losses = call_.take<double>(rows);
    call_.launch(mean_shift_rows_kernel<T>, grid_size(rows, 256), 256, 0, found, reduction_, along,
                 losses);
    if (prediction_.wants_gradient()) {
      for_each_vec4(call_, rows, prediction_.value.cols(), {},
                    neighbour_gradient_rows<T>{found, along, {}, prediction_});
    }
    if (!loss.empty()) write_loss(call_, reduction_, {losses, nullptr}, loss);
  }

 private:
  device_matrix<const index_t> slots() {
    if (neighbours_.are_found) return neighbours_.found;
    return find_neighbours<T>(call_, support_, neighbours_.targets, options_.exclude_ids,
                              options_.k, neighbours_.indices);
  }

  operation call_;
  operand_type prediction_;
  device_support_rows<T> support_;
  neighbours_type neighbours_;
  device_mean_shift_options<T> options_;
  row_reduction<C> reduction_;
};

}  // namespace cuda

template <element T>
struct detail::mean_shift_call<cuda_context, T> : cuda::mean_shift_call<T> {
  using cuda::mean_shift_call<T>::mean_shift_call;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
