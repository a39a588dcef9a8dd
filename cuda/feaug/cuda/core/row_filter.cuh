// Selects the rows of a support (a queue or a matrix) that a query may find or a row of logits may
// use: filled rows that do not have the query's excluded id.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>

#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cuda/core/context.cuh"
#include "feaug/cuda/core/cublas_namespace.cuh"
#include "feaug/cuda/core/platform.cuh"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda::inline FEAUG_CUBLAS_NAMESPACE {

/// The rows, out of M, that a query may find or a row of logits may use.
struct row_filter {
  index_t capacity = 0;             ///< M
  const index_t* filled = nullptr;  ///< how many of them exist; null: all
  device_vector<const std::int64_t> ids = {};
  device_vector<const std::int64_t> exclude_ids = {};  ///< one per query, or empty

  /// Number of rows that exist.
  [[nodiscard]] __device__ index_t count() const {
    return filled != nullptr && *filled < capacity ? *filled : capacity;
  }
  /// True if any row may be left out.
  [[nodiscard]] FEAUG_HD bool given() const { return filled != nullptr || !exclude_ids.empty(); }
  /// True if the row has the id that the query excludes.
  [[nodiscard]] __device__ bool excludes(index_t query, index_t slot) const {
    return !exclude_ids.empty() && ids[slot] == exclude_ids[query];
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cuda

#include "feaug/header_end.hpp"
