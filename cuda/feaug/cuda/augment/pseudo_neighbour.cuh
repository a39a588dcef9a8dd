// CUDA implementation of pseudo_neighbour: a point between a feature and its neighbour, with noise
// (pNNCLR).
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/augment/pseudo_neighbour.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/cuda/augment/augmentation.cuh"
#include "feaug/cuda/augment/neighbour.cuh"
#include "feaug/cuda/augment/noise.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/l2_norm.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/unit_backward.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// made_i, the neighbour's row, becomes w·unit(x_i) + (1 − w)·made_i + σ·ε_i. `Source` gives ε.
template <class Source, element T>
struct blend_neighbours {
  Source source;
  double weight;
  double sigma;
  device_matrix<const T> x;
  const double* x_inverse;
  device_matrix<double> made;

  __device__ void operator()(const vec4& q) const {
    compute_t<T> values[4];
    double epsilon[4] = {};
    load_vec4(x.row(q.row), q, values);
    if (sigma > 0) source.epsilon(q, epsilon);
    const double factor = x_inverse[q.row];
    FEAUG_UNROLL
    for (int lane = 0; lane < 4; ++lane) {
      if (lane >= q.count) continue;
      double& row = made(q.row, q.first + lane);
      const double unit = static_cast<double>(values[lane]) * factor;
      const double blended = rounded_product(weight, unit) + rounded_product(1.0 - weight, row);
      row = blended + rounded_product(sigma, epsilon[lane]);
    }
  }
};

/// The gradient with respect to the blended rows, from that with respect to the outputs.
template <element T>
struct pseudo_gradient {
  device_matrix<const T> grad_out;
  device_matrix<const double> made;  ///< the rows before normalisation; empty: not normalised
  const double* made_inverse;        ///< 1 / max(‖made_i‖, eps)
  double weight;
  double through;  ///< share of g that goes straight to x (straight-through)

  /// The gradient with respect to made_i from that with respect to unit(made_i); along =
  /// unit(made_i)·g.
  [[nodiscard]] __device__ double at(index_t i, index_t j, double along) const {
    const double g = static_cast<double>(load(grad_out(i, j)));
    if (made.data == nullptr) return g;
    const double inverse = made_inverse[i];
    if (has_no_direction(inverse, default_norm_eps)) return 0;
    return through_unit(g, made(i, j) * inverse, along, inverse);
  }
};

// The gradient with respect to x. One warp per row. Limited by memory bandwidth: reads grad_out
// and, with normalisation, made three times, x twice, and writes cols elements a row. x's gradient
// may be the memory of grad_out: a lane writes only elements that it alone reads, after all lanes
// have read the row. Registers: at most 80.
template <element T>
__global__ void __launch_bounds__(256, 3)
    pseudo_backward_kernel(operand<T, 2, memory_space::device> x, const double* x_inverse,
                           pseudo_gradient<T> from, row_selection selection) {
  const index_t cols = x.value.cols();
  const int lane = static_cast<int>(threadIdx.x);
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; i < x.value.rows();
       i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    if (!selection.contains(i)) continue;
    double made_along = 0;
    if (from.made.data != nullptr) {
      for (index_t j = lane; j < cols; j += warp_lanes)
        made_along +=
            from.made(i, j) * from.made_inverse[i] * static_cast<double>(load(from.grad_out(i, j)));
      made_along = warp_sum(made_along);
    }
    const double inverse = x_inverse[i];
    double along = 0;
    for (index_t j = lane; j < cols; j += warp_lanes)
      along += static_cast<double>(load(x.value(i, j))) * inverse * from.at(i, j, made_along);
    along = warp_sum(along);
    const double factor = has_no_direction(inverse, default_norm_eps) ? 0.0 : from.weight * inverse;
    for (index_t j = lane; j < cols; j += warp_lanes) {
      const double g = from.at(i, j, made_along);
      const double unit = static_cast<double>(load(x.value(i, j))) * inverse;
      const double own = factor == 0.0 ? 0.0 : factor * (g - unit * along);
      const double straight = from.through == 0.0 ? 0.0 : from.through * g;
      put_element(x, i, j, static_cast<compute_t<T>>(own + straight));
    }
  }
}

}  // namespace cuda

/// As on the CPU, but a row without a neighbour is NaN where the CPU throws. Scratch: that of `of`
/// and 16 bytes a row; backward without normalize, only 8 bytes a row.
template <element U, class Of>
struct augmentation_on<cuda_context,
                       neighbour_policy<U, memory_space::device, pseudo_neighbour_of<Of>>>
    : augmentation_traits<neighbour_policy<U, memory_space::device, pseudo_neighbour_of<Of>>> {
  using policy_type = neighbour_policy<U, memory_space::device, pseudo_neighbour_of<Of>>;
  using traits = augmentation_traits<policy_type>;
  using traits::name;
  using rule = neighbour_rule<Of>;

  template <element T>
  static void forward(cuda_context& ctx, const policy_type& policy, device_matrix<const T> x,
                      const random_key& key, const row_selection& selection, device_matrix<T> out) {
    cuda::operation call(ctx, name);
    const auto* x_inverse = inverse_norms(call, x);
    const device_matrix<double> made =
        make(ctx, call, policy, x, x_inverse, key, selection, policy.binding);
    const double* factor = policy.how.normalize ? inverse_norms<double>(call, made) : nullptr;
    cuda::for_each_vec4(call, x.rows(), x.cols(), selection,
                        cuda::store_made_rows<T>{made, factor, out});
  }

  template <element T>
  static void backward(cuda_context& ctx, const policy_type& policy,
                       const operand<T, 2, memory_space::device>& x, const random_key& key,
                       const row_selection& selection, device_matrix<const T> grad_out) {
    if (!x.wants_gradient()) return;
    cuda::operation call(ctx, name);
    if (rule::mixes_rows && !selection.all()) cuda::put_zero_gradient(call, x, selection, false);
    const auto* x_inverse = inverse_norms(call, x.value);
    cuda::pseudo_gradient<T> from = {.grad_out = grad_out,
                                     .made = {},
                                     .made_inverse = nullptr,
                                     .weight = static_cast<double>(policy.how.weight),
                                     .through = traits::through_share(policy)};
    if (policy.how.normalize) {
      const device_matrix<double> made =
          make(ctx, call, policy, x.value, x_inverse, key, selection, {});
      from.made = made;
      from.made_inverse = inverse_norms<double>(call, made);
    }
    const dim3 block(cuda::warp_lanes, 8);
    call.launch(cuda::pseudo_backward_kernel<T>, cuda::grid_size(x.value.rows(), block.y), block, 0,
                x, x_inverse, from, selection);
  }

 private:
  template <element T>
  static const double* inverse_norms(cuda::operation& call, const device_matrix<const T>& x) {
    auto* const inverse = call.take<double>(x.rows());
    cuda::row_norms(call, x, cuda::norm_output::inverse, default_norm_eps, inverse);
    return inverse;
  }

  /// The selected rows before normalisation; the other rows are zero.
  template <element T>
  static device_matrix<double> make(cuda_context& ctx, cuda::operation& call,
                                    const policy_type& policy, const device_matrix<const T>& x,
                                    const double* x_inverse, const random_key& key,
                                    const row_selection& selection,
                                    const cuda::device_neighbour_binding& binding) {
    const index_t count = x.rows() * x.cols();
    auto* const rows = selection.all() ? call.take<double>(count) : call.take_zeros<double>(count);
    const device_matrix<double> made(rows, x.rows(), x.cols());
    cuda::make_neighbour_rows<T>(ctx, name, rule::plan(policy.how.of), policy.queue,
                                 policy.binding.exclude_ids, policy.choice, x, key.streams_later(1),
                                 selection, binding, made);
    const auto blend = [&](const auto& source) {
      using body = cuda::blend_neighbours<std::remove_cvref_t<decltype(source)>, T>;
      cuda::for_each_vec4(call, x.rows(), x.cols(), selection,
                          body{source, static_cast<double>(policy.how.weight),
                               static_cast<double>(policy.how.noise), x, x_inverse, made});
    };
    if (policy.epsilon.has_value()) {
      cuda::on_device(name, "epsilon", *policy.epsilon);
      blend(cuda::given_epsilon<T>{*policy.epsilon});
    } else {
      blend(cuda::drawn_epsilon<normal_draw>{key});
    }
    return made;
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
