// enqueue and nearest: a support queue whose memory is the framework's.
#if defined(FEAUG_PYTHON_CUDA)
#include <feaug/cuda/queue/nearest.cuh>
#include <feaug/cuda/queue/support_queue.cuh>
#else
#include <feaug/cpu/queue/nearest.hpp>
#include <feaug/cpu/queue/support_queue.hpp>
#endif

#include "views.hpp"

namespace feaug_python {
namespace {

template <class T>
feaug::support_queue<T, space> queue_of(std::string_view op, const support& queue) {
  return {.storage = matrix<T>(op, "queue.rows", queue.rows),
          .cursor = queue.cursor,
          .size = queue.filled,
          .normalize = queue.normalize,
          .labels = vector<std::int64_t>(op, "queue.labels", queue.labels)};
}

}  // namespace

void enqueue(const caller& from, const support& queue, const buffer& batch, const buffer& labels) {
  lend_context(from, [&](context& ctx) {
    with_element("enqueue", "queue.rows", queue.rows, [&](auto element) {
      using T = typename decltype(element)::type;
      feaug::enqueue(ctx, queue_of<T>("enqueue", queue), matrix<T>("enqueue", "rows", batch),
                     {.labels = vector<std::int64_t>("enqueue", "labels", labels)});
    });
  });
}

void nearest(const caller& from, const support& queue, const buffer& queries, std::int64_t k,
             const buffer& values, const buffer& indices, const buffer& similarities) {
  constexpr std::string_view op = "nearest";
  lend_context(from, [&](context& ctx) {
    with_element(op, "queries", queries, [&](auto element) {
      using T = typename decltype(element)::type;
      const matrix_view<const T> wanted = matrix<T>(op, "queries", queries);
      const feaug::nearest_outputs<T, space> outputs = {
          .indices = matrix<std::int64_t>(op, "indices", indices),
          .similarities = matrix<T>(op, "similarities", similarities),
          .values = matrix<T>(op, "values", values)};
      if (queue.filled != nullptr) {
        feaug::nearest(ctx, queue_of<T>(op, queue), wanted, outputs, {.k = k});
      } else {
        feaug::nearest(ctx, matrix<T>(op, "rows", queue.rows), wanted, outputs, {.k = k});
      }
    });
  });
}

}  // namespace feaug_python
