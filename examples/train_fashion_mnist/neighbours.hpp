// Nearest neighbours of features, and the accuracy of their labels.
#pragma once

#include <cstdint>
#include <vector>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/queue/support_queue.hpp"
#include "network/matrix.hpp"

namespace trainer {

/// The k nearest rows of each query by cosine, nearest first, query after query.
struct neighbours {
  std::vector<feaug::index_t> rows;
  std::vector<float> similarities;
};

neighbours neighbours_of(feaug::cpu_context& ctx, const network::matrix<float>& from,
                         const network::matrix<float>& queries, feaug::index_t k);

/// The share of queries whose nearest row in the queue has their label, the own image excluded; −1
/// while the queue is empty.
double neighbour_accuracy(feaug::cpu_context& ctx, const feaug::support_queue<float>& queue,
                          feaug::matrix_view<const float> queries,
                          const std::vector<std::int64_t>& ids,
                          const std::vector<std::int64_t>& labels);

}  // namespace trainer
