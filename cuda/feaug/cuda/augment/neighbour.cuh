// CUDA implementation of the neighbour augmentations: neighbours in a support queue as the
// augmented feature.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "feaug/augment/mean_neighbour.hpp"
#include "feaug/augment/mutual_neighbour.hpp"
#include "feaug/augment/neighbour.hpp"
#include "feaug/augment/neighbour_plan.hpp"
#include "feaug/augment/random_neighbour.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/exact_math.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/random.hpp"
#include "feaug/cuda/augment/augmentation.cuh"
#include "feaug/cuda/augment/noise.cuh"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/l2_norm.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/cuda/core/warps.cuh"
#include "feaug/cuda/queue/nearest.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

using feaug::detail::neighbour_plan;
using device_neighbour_binding = basic_neighbour_binding<memory_space::device>;

/// The slots found for a batch, N × k, and the storage that they index.
template <element T>
struct found_neighbours {
  device_matrix<const T> storage;
  index_t* slots;
  index_t k;
};

/// Copies the rows of the found slots, from number `first` on; zero if the slot is −1.
template <element T>
struct gather_found {
  found_neighbours<T> found;
  index_t first;
  device_matrix<T> to;

  __device__ void operator()(const vec4& q) const {
    compute_t<T> values[4] = {};
    const index_t slot = found.slots[first + q.row];
    if (slot >= 0) load_vec4(found.storage.row(slot), q, values);
    store_vec4(to.row(q.row), q, values);
  }
};

// Sets a found slot to −1 unless its nearest queries include the row that found it. One thread per
// slot. Limited by memory bandwidth: reads up to queries.cols() indices.
template <class Slot>
__global__ void __launch_bounds__(256)
    strike_one_sided_kernel(Slot* slots, index_t k, index_t first, index_t count,
                            device_matrix<const Slot> queries) {
  for (index_t p = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; p < count;
       p += static_cast<index_t>(gridDim.x) * blockDim.x) {
    const index_t row = (first + p) / k;
    bool mutual = false;
    for (index_t r = 0; r < queries.cols(); ++r) mutual = mutual || queries(p, r) == row;
    if (!mutual) slots[first + p] = -1;
  }
}

/// Sets the found slots to −1 whose nearest `plan.mutual` queries do not include the row that found
/// them. Scratch: at most 48 MiB, or one row and `plan.mutual` slots if these are larger.
template <element T>
void keep_mutual(cuda_context& ctx, operation& call, const neighbour_plan& plan,
                 const found_neighbours<T>& found, const device_matrix<const T>& x) {
  constexpr index_t most_bytes = index_t{48} << 20;
  const index_t nearest_queries = std::min(plan.mutual, x.rows());
  const auto bytes = static_cast<index_t>(sizeof(T)) * x.cols() +
                     static_cast<index_t>(sizeof(index_t)) * nearest_queries;
  const index_t pairs = x.rows() * found.k;
  const index_t at_once = std::clamp<index_t>(most_bytes / bytes, 1, pairs);
  auto* const rows = call.take<T>(at_once * x.cols());
  auto* const nearest_of = call.take<index_t>(at_once * nearest_queries);
  for (index_t first = 0; first < pairs; first += at_once) {
    const index_t count = std::min(at_once, pairs - first);
    const device_matrix<T> neighbours(rows, count, x.cols());
    const device_matrix<index_t> queries(nearest_of, count, nearest_queries);
    for_each_vec4(call, count, x.cols(), {}, gather_found<T>{found, first, neighbours});
    nearest(ctx, x, neighbours, {.indices = queries}, {.k = nearest_queries});
    call.launch(strike_one_sided_kernel<index_t>, grid_size(count, 256), 256, 0, found.slots,
                found.k, first, count, queries);
  }
}

// Compacts each row's slots, chooses one by draw if the plan says so, and writes the selected rows'
// slots to the binding. One thread per row; `choice` is null if the draw comes from the key.
// Limited by memory bandwidth: reads and writes k slots a row.
template <class Plan>
__global__ void __launch_bounds__(256)
    settle_neighbours_kernel(Plan plan, random_key key, device_vector<const float> choice,
                             index_t rows, row_selection selection, index_t* slots,
                             device_neighbour_binding binding) {
  const random_key now = key.resolved();
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < rows;
       i += static_cast<index_t>(gridDim.x) * blockDim.x) {
    index_t* const mine = slots + i * plan.k;
    float u = 0;
    if (plan.one_by_draw) u = choice.data != nullptr ? choice[i] : draw_uniform(now, i, 0);
    feaug::detail::settle_neighbours(plan, u, mine);
    if (!selection.contains(i)) continue;
    if (!binding.indices.empty()) binding.indices[i] = mine[0];
    if (binding.rows_used.empty()) continue;
    for (index_t r = 0; r < plan.k; ++r) binding.rows_used(i, r) = mine[r];
  }
}

// inverse[p] = 1 / max(‖found row‖, 1e-12). One thread per slot; the norm is summed in index order,
// as everywhere. Limited by that chain of dependent additions, and by uncoalesced reads of cols
// elements.
template <element T>
__global__ void __launch_bounds__(256)
    found_norms_kernel(found_neighbours<T> found, index_t count, double* inverse) {
  for (index_t p = static_cast<index_t>(blockIdx.x) * blockDim.x + threadIdx.x; p < count;
       p += static_cast<index_t>(gridDim.x) * blockDim.x) {
    const index_t slot = found.slots[p];
    if (slot < 0) continue;
    const double norm = row_norm(found.storage.row(slot), found.storage.cols());
    inverse[p] = inverse_norm(norm, default_norm_eps);
  }
}

// made_i = the unit mean of row i's neighbours. One warp per row; a lane reads back only what it
// wrote. Limited by memory bandwidth: reads count · cols elements, writes 8·cols bytes, twice if
// count > 1. Trimming repeats the reads count times, with count² comparisons per element.
// Registers: at most 80.
template <element T>
__global__ void __launch_bounds__(256, 3)
    make_rows_kernel(neighbour_plan plan, found_neighbours<T> found, const double* found_inverse,
                     device_matrix<const T> x, const double* x_inverse, double without,
                     row_selection selection, device_matrix<double> made) {
  const int lane = static_cast<int>(threadIdx.x);
  const index_t cols = x.cols();
  for (index_t i = static_cast<index_t>(blockIdx.x) * blockDim.y + threadIdx.y; i < x.rows();
       i += static_cast<index_t>(gridDim.x) * blockDim.y) {
    if (!selection.contains(i)) continue;
    const index_t* const slots = found.slots + i * found.k;
    const double* const inverse = found_inverse + i * found.k;
    double* const row = made.row(i);
    index_t count = 0;
    while (count < found.k && slots[count] >= 0) ++count;
    if (count == 0) {
      const double factor = without * x_inverse[i];
      for (index_t j = lane; j < cols; j += warp_lanes)
        row[j] = exact::to_double(load(x(i, j))) * factor;
      continue;
    }
    const index_t trim = plan.trim_of(count);
    double square_sum = 0;
    for (index_t j = lane; j < cols; j += warp_lanes) {
      const double mean = feaug::detail::trimmed_mean(count, trim, [&](index_t r) {
        return exact::to_double(load(found.storage(slots[r], j))) * inverse[r];
      });
      square_sum += mean * mean;
      row[j] = mean;
    }
    if (count == 1) continue;
    square_sum = warp_sum(square_sum);
    // The rows are unit, so the squares of their mean neither overflow nor underflow.
    const double scale = inverse_norm(std::sqrt(square_sum), default_norm_eps);
    for (index_t j = lane; j < cols; j += warp_lanes) row[j] *= scale;
  }
}

/// made_i = the unit row made of the neighbours of row i, for selected rows; unit(x_i) or NaN if it
/// has no neighbour. Writes the slots to `binding` if wanted. Scratch: 16·k + 8 bytes a row, that
/// of nearest, and that of keep_mutual.
template <element T>
void make_neighbour_rows(cuda_context& ctx, std::string_view op, const neighbour_plan& plan,
                         const device_support_queue<T>& queue,
                         const device_vector<const std::int64_t>& exclude_ids,
                         const std::optional<device_vector<const float>>& choice,
                         const device_matrix<const T>& x, const random_key& key,
                         const row_selection& selection, const device_neighbour_binding& binding,
                         const device_matrix<double>& made) {
  on_device(op, "indices", binding.indices);
  on_device(op, "rows_used", binding.rows_used);
  if (choice.has_value()) on_device(op, "choice", *choice);
  operation call(ctx, op);
  const index_t rows = x.rows();
  const index_t pairs = rows * plan.k;
  const found_neighbours<T> found = {
      .storage = queue.storage, .slots = call.take<index_t>(pairs), .k = plan.k};
  auto* const found_inverse = call.take<double>(pairs);
  auto* const x_inverse = call.take<double>(rows);
  nearest(ctx, queue, x, {.indices = {found.slots, rows, plan.k}},
          {.k = plan.k, .exclude_ids = exclude_ids, .similarity = plan.similarity});
  if (plan.mutual > 0) keep_mutual(ctx, call, plan, found, x);
  call.launch(settle_neighbours_kernel<neighbour_plan>, grid_size(rows, 256), 256, 0, plan, key,
              choice.value_or(device_vector<const float>{}), rows, selection, found.slots, binding);
  call.launch(found_norms_kernel<T>, grid_size(pairs, 256), 256, 0, found, pairs, found_inverse);
  row_norms(call, x, norm_output::inverse, default_norm_eps, x_inverse);
  const double without =  // factor of unit(x) if it replaces a neighbour
      plan.fallback == neighbour_fallback::query ? 1.0 : std::numeric_limits<double>::quiet_NaN();
  const dim3 block(warp_lanes, 8);
  call.launch(make_rows_kernel<T>, grid_size(rows, block.y), block, 0, plan, found, found_inverse,
              x, x_inverse, without, selection, made);
}

/// out_i = factor[i] · rows_i, rounded once; null factors are 1.
template <element T>
struct store_made_rows {
  device_matrix<const double> rows;
  const double* factor;
  device_matrix<T> out;

  __device__ void operator()(const vec4& q) const {
    compute_t<T> values[4];
    const double scale = factor == nullptr ? 1.0 : factor[q.row];
    for (int lane = 0; lane < 4; ++lane) {
      values[lane] =
          lane < q.count ? static_cast<compute_t<T>>(rows(q.row, q.first + lane) * scale) : 0;
    }
    store_vec4(out.row(q.row), q, values);
  }
};

}  // namespace cuda

/// As on the CPU, but a row without a neighbour is NaN where the CPU throws. Scratch: 16·k + 16
/// bytes a row, 8 bytes an element, and that of nearest; 48 MiB more for mutual neighbours.
template <element U, neighbour_kind How>
struct augmentation_on<cuda_context, neighbour_policy<U, memory_space::device, How>>
    : augmentation_traits<neighbour_policy<U, memory_space::device, How>> {
  using policy_type = neighbour_policy<U, memory_space::device, How>;
  using augmentation_traits<policy_type>::name;
  using rule = neighbour_rule<How>;

  template <element T>
  static void forward(cuda_context& ctx, const policy_type& policy, device_matrix<const T> x,
                      const random_key& key, const row_selection& selection, device_matrix<T> out) {
    cuda::operation call(ctx, name);
    const device_matrix<double> made(call.take<double>(x.rows() * x.cols()), x.rows(), x.cols());
    cuda::make_neighbour_rows<T>(ctx, name, rule::plan(policy.how), policy.queue,
                                 policy.binding.exclude_ids, policy.choice, x, key, selection,
                                 policy.binding, made);
    cuda::for_each_vec4(call, x.rows(), x.cols(), selection,
                        cuda::store_made_rows<T>{made, nullptr, out});
  }

  /// The straight-through gradient is g for every row, also for one that fell back to itself, so
  /// the backward pass needs no search.
  template <element T>
  static void backward(cuda_context& ctx, const policy_type& policy,
                       const operand<T, 2, memory_space::device>& x, const random_key& /*key*/,
                       const row_selection& selection, device_matrix<const T> grad_out) {
    const cuda::operation call(ctx, name);
    if (rule::mixes_rows && !selection.all()) cuda::put_zero_gradient(call, x, selection, false);
    const bool through = rule::plan(policy.how).gradient == neighbour_gradient::straight_through;
    const auto factor = static_cast<compute_t<T>>(through ? 1 : 0);
    cuda::for_each_vec4(call, x.value.rows(), x.value.cols(), selection,
                        cuda::pass_gradient<T>{x, grad_out, factor});
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
