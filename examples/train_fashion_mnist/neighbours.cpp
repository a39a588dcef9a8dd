#include "neighbours.hpp"

#include <cstddef>

#include "feaug/cpu/queue/nearest.hpp"
#include "feaug/cpu/queue/support_queue.hpp"
#include "matrix_view.hpp"

namespace trainer {

using network::matrix;

neighbours neighbours_of(feaug::cpu_context& ctx, const matrix<float>& from,
                         const matrix<float>& queries, feaug::index_t k) {
  neighbours found;
  found.rows.resize(static_cast<std::size_t>(queries.rows() * k));
  found.similarities.resize(found.rows.size());
  feaug::nearest(ctx, view(from), view(queries),
                 {.indices = {found.rows.data(), queries.rows(), k},
                  .similarities = {found.similarities.data(), queries.rows(), k}},
                 {.k = k});
  return found;
}

double neighbour_accuracy(feaug::cpu_context& ctx, const feaug::support_queue<float>& queue,
                          feaug::matrix_view<const float> queries,
                          const std::vector<std::int64_t>& ids,
                          const std::vector<std::int64_t>& labels) {
  if (*queue.size == 0) return -1;
  const feaug::index_t rows = queries.rows();
  std::vector<feaug::index_t> found(ids.size());
  std::vector<std::int64_t> found_labels(ids.size());
  feaug::nearest(ctx, queue, queries, {.indices = {found.data(), rows, 1}},
                 {.exclude_ids = {ids.data(), rows}});
  feaug::gather(ctx, queue, {found.data(), rows}, {.labels = {found_labels.data(), rows}});
  std::int64_t same = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) same += found_labels[i] == labels[i] ? 1 : 0;
  return static_cast<double>(same) / static_cast<double>(rows);
}

}  // namespace trainer
