// CUDA implementation of nearest: exact nearest neighbours by cosine similarity.
#pragma once

#include "feaug/header_begin.hpp"

#include <limits>

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/l2_norm.cuh"
#include "feaug/cuda/core/operation.cuh"
#include "feaug/cuda/core/pointers.cuh"
#include "feaug/cuda/core/tensor_core.cuh"
#include "feaug/cuda/queue/device_queue.cuh"
#include "feaug/cuda/queue/exact_scan.cuh"
#include "feaug/cuda/queue/pruned_scan.cuh"
#include "feaug/cuda/queue/search_space.cuh"
#include "feaug/queue/nearest.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

template <element T>
using device_nearest_outputs = nearest_outputs<T, memory_space::device>;
using device_nearest_options = basic_nearest_options<memory_space::device>;

namespace cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// The search. `normalized`: the rows are stored with unit norm. For other rows, the space may
/// provide the inverse norms; else they are computed.
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
  if (can_prune(to.k, space.similarity) && uses_tensor_tiles(call, queries.cols())) {
    pruned_scan(call, space, queries, norms, to);
  } else {
    exact_scan(call, space, queries, norms, to);
  }
}

/// The search, with the operator's name and outputs.
template <element T>
void search(cuda_context& ctx, const search_space<T>& space, bool normalized,
            const device_matrix<const T>& queries, const device_nearest_outputs<T>& outputs,
            const device_nearest_options& options) {
  operation call(ctx, "nearest");
  find_rows(call, space, normalized, queries,
            {.rows = space.rows,
             .outputs = outputs,
             .k = options.k,
             .nothing = store<T>(std::numeric_limits<compute_t<T>>::quiet_NaN())});
}

}  // namespace cuda

/// Slots and similarities are bitwise those of the CPU. Scratch: 8 bytes a query, 8 bytes a row if
/// rows are not normalised, and that of exact_scan or, with tensor cores, pruned_scan.
template <>
struct detail::nearest_on<cuda_context> {
  /// `rows` is the whole storage of the queue.
  template <element T>
  static void in_queue(cuda_context& ctx, const device_support_queue<T>& queue,
                       const device_matrix<const T>& rows, const device_matrix<const T>& queries,
                       const device_nearest_outputs<T>& outputs,
                       const device_nearest_options& options) {
    cuda::search<T>(ctx,
                    {.rows = rows,
                     .filter = {.capacity = rows.rows(),
                                .filled = queue.size,
                                .ids = queue.ids,
                                .exclude_ids = options.exclude_ids},
                     .similarity = options.similarity},
                    queue.normalize, queries, outputs, options);
  }

  template <element T>
  static void in_rows(cuda_context& ctx, const device_matrix<const T>& rows,
                      const device_matrix<const T>& queries,
                      const device_nearest_outputs<T>& outputs,
                      const device_nearest_options& options) {
    cuda::search<T>(
        ctx, {.rows = rows, .filter = {.capacity = rows.rows()}, .similarity = options.similarity},
        false, queries, outputs, options);
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
