// nearest and enqueue: a support queue whose memory is JAX's.
#include <cstdint>
#if defined(FEAUG_JAX_CUDA)
#include <feaug/cuda/queue/nearest.cuh>
#include <feaug/cuda/queue/support_queue.cuh>
#else
#include <feaug/cpu/queue/nearest.hpp>
#include <feaug/cpu/queue/support_queue.hpp>
#endif

#include "buffers.hpp"

namespace feaug_jax {
namespace {

/// The queue with these rows; `counters` has the cursor, then the size.
template <class T>
feaug::support_queue<T, space> queue(std::string_view op, const input& rows,
                                     const input& counters) {
  auto* const cursor = pairs<index_t>(op, "queue.cursor and queue.size", counters, 2);
  return {.storage = matrix<T>(op, "queue.rows", rows), .cursor = cursor, .size = cursor + 1};
}

ffi::Error nearest(caller from, input rows, input counters, input queries, output values,
                   output indices, output similarities, std::int64_t k) {
  return answer(from, [&](context& ctx) {
    with_element("nearest", "queue.rows", rows, [&](auto element) {
      using T = decltype(element);
      const matrix_view<const T> wanted = matrix<T>("nearest", "queries", queries);
      auto* const slots = pairs<index_t>("nearest", "indices", *indices, wanted.rows() * k);
      feaug::nearest(ctx, queue<T>("nearest", rows, counters), wanted,
                     {.indices = {slots, wanted.rows(), k},
                      .similarities = matrix<T>("nearest", "similarities", *similarities),
                      .values = matrix<T>("nearest", "values", *values)},
                     {.k = k});
    });
  });
}

/// `rows` and `counters` are also the results (aliased): XLA ensures that their old values are no
/// longer needed. The remaining arguments are not read; they make XLA compute them first.
ffi::Error enqueue(caller from, input rows, input counters, input batch,
                   ffi::RemainingArgs /*after*/, output rows_after, output counters_after) {
  return answer(from, [&](context& ctx) {
    if (rows.untyped_data() != rows_after->untyped_data() ||
        counters.untyped_data() != counters_after->untyped_data()) {
      feaug::check::fail("enqueue", "queue", "results in memory of their own",
                         "the queue's own memory, by input_output_aliases");
    }
    with_element("enqueue", "queue.rows", rows, [&](auto element) {
      using T = decltype(element);
      feaug::enqueue(ctx, queue<T>("enqueue", rows, counters), matrix<T>("enqueue", "rows", batch));
    });
  });
}

}  // namespace
}  // namespace feaug_jax

FEAUG_JAX_HANDLER(feaug_nearest, feaug_jax::nearest,
                  xla::ffi::Ffi::Bind()
                      .Ctx<feaug_jax::caller>()
                      .Arg<feaug_jax::input>()
                      .Arg<feaug_jax::input>()
                      .Arg<feaug_jax::input>()
                      .Ret<feaug_jax::input>()
                      .Ret<feaug_jax::input>()
                      .Ret<feaug_jax::input>()
                      .Attr<std::int64_t>("k"));
FEAUG_JAX_HANDLER(feaug_enqueue, feaug_jax::enqueue,
                  xla::ffi::Ffi::Bind()
                      .Ctx<feaug_jax::caller>()
                      .Arg<feaug_jax::input>()
                      .Arg<feaug_jax::input>()
                      .Arg<feaug_jax::input>()
                      .RemainingArgs()
                      .Ret<feaug_jax::input>()
                      .Ret<feaug_jax::input>());
