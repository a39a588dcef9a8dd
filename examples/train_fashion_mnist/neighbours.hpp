// Nearest neighbours of features, and how often they have the right label.
#pragma once

#include <cstdint>
#include <vector>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/queue/support_queue.hpp"
#include "network/matrix.hpp"

namespace trainer {

/// Of each query the k nearest rows by cosine, nearest first, query after query.
struct neighbours {
  std::vector<feaug::index_t> rows;
  std::vector<float> similarities;
};

neighbours neighbours_of(feaug::cpu_context& ctx, const network::matrix<float>& from,
                         const network::matrix<float>& queries, feaug::index_t k);

/// The share of queries whose nearest row in the queue, their own image left out, has their label;
/// −1 while the queue is empty.
double neighbour_accuracy(feaug::cpu_context& ctx, const feaug::support_queue<float>& queue,
                          feaug::matrix_view<const float> queries,
                          const std::vector<std::int64_t>& ids,
                          const std::vector<std::int64_t>& labels);

}  // namespace trainer
