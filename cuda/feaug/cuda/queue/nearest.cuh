// Exact nearest neighbours on a GPU; see feaug/queue/nearest.hpp for what they are.
#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>

#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/row_norms.cuh"
#include "feaug/cuda/core/tensor_core.cuh"
#include "feaug/cuda/queue/device_queue.cuh"
#include "feaug/cuda/queue/exact_scan.cuh"
#include "feaug/cuda/queue/screened_scan.cuh"
#include "feaug/cuda/queue/search_space.cuh"
#include "feaug/queue/nearest.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_nearest_outputs = nearest_outputs<T, memory_space::device>;
using device_nearest_options = basic_nearest_options<memory_space::device>;

namespace cuda {

/// The search itself. `normalized`: the rows are stored unit; of others the space may bring the
/// inverse norms.
template <element T>
void find_rows(operation& call, search_space<T> space, bool normalized,
               const device_matrix<const T>& queries, const found_rows<T>& to) {
  if (!normalized && space.inverse_norms == nullptr) {
    auto* inverse = call.take<double>(space.rows.rows());
    row_norms(call, space.rows, norm_output::inverse, default_norm_eps, inverse);
    space.inverse_norms = inverse;
  }
  auto* norms = call.take<double>(queries.rows());
  row_norms(call, queries, norm_output::norm, default_norm_eps, norms);
  if (uses_tensor_cores(call.context(), call.name()) &&
      can_screen(queries.cols(), to.k, space.similarity)) {
    screened_scan(call, space, queries, norms, to);
  } else {
    exact_scan(call, space, queries, norms, to);
  }
}

/// The search, after the checks. `normalized`: the rows are stored unit.
template <element T>
void search(cuda_context& ctx, const search_space<T>& space, bool normalized,
            const device_matrix<const T>& queries, const device_nearest_outputs<T>& outputs,
            const device_nearest_options& options) {
  constexpr std::string_view op = "nearest";
  on_device(op, "queries", queries);
  on_device(op, "indices", outputs.indices);
  on_device(op, "similarities", outputs.similarities);
  on_device(op, "values", outputs.values);
  on_device(op, "exclude_ids", options.exclude_ids);
  if (queries.rows() == 0) return;
  operation call(ctx, op);
  find_rows(call, space, normalized, queries,
            {.rows = space.rows,
             .outputs = outputs,
             .k = options.k,
             .nothing = store<T>(std::numeric_limits<compute_t<T>>::quiet_NaN())});
}

}  // namespace cuda

/// The k nearest filled rows of the queue by cosine for every query, as on the CPU: the same slots,
/// and similarities to the last bit. How many slots are filled is read in device memory when the
/// search runs; where k is more than that, the ranks that are left find nothing (index −1,
/// similarity and values NaN), as all do in an empty queue. Scratch: 8 bytes a query, for raw rows
/// 8 bytes a row, and see exact_scan, or with tensor cores screened_scan.
template <element T>
void nearest(cuda_context& ctx, const device_support_queue<T>& queue,
             std::type_identity_t<device_matrix<const T>> queries,
             const std::type_identity_t<device_nearest_outputs<T>>& outputs,
             const device_nearest_options& options = {}) {
  check::valid("nearest", queue);
  const device_matrix<const T> rows = queue.storage;
  feaug::detail::check_nearest<T, memory_space::device>(rows, "queue", queue.ids, queries, outputs,
                                                        options);
  cuda::on_device("nearest", queue);
  cuda::search<T>(ctx,
                  {.rows = rows,
                   .filter = {.capacity = rows.rows(),
                              .filled = queue.size,
                              .ids = queue.ids,
                              .exclude_ids = options.exclude_ids},
                   .similarity = options.similarity},
                  queue.normalize, queries, outputs, options);
}

/// The same among the rows of any matrix, M × D, of any norm. There are no ids to exclude by.
template <class S, class T = std::remove_const_t<S>>
requires element<T>
void nearest(cuda_context& ctx, const device_matrix<S>& support,
             std::type_identity_t<device_matrix<const T>> queries,
             const std::type_identity_t<device_nearest_outputs<T>>& outputs,
             const device_nearest_options& options = {}) {
  check::readable("nearest", "support", support);
  feaug::detail::check_nearest<T, memory_space::device>(support, "support", {}, queries, outputs,
                                                        options);
  cuda::on_device("nearest", "support", support);
  cuda::search<T>(
      ctx,
      {.rows = support, .filter = {.capacity = support.rows()}, .similarity = options.similarity},
      false, queries, outputs, options);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
