// The handlers of nearest and enqueue: a support queue whose memory is JAX's.
#include <cstdint>

#include "buffers.hpp"
#include "handler.hpp"
#include "resources.hpp"

namespace feaug_jax {
namespace {

/// The queue with these rows; `numbers` has the cursor, then the size.
feaug_python::support queue_of(const char* op, const input& rows, const input& numbers) {
  std::int64_t* const cursor = counters(op, "queue.cursor and queue.size", numbers, 2);
  return {
      .rows = matrix(op, "queue.rows", rows), .cursor = cursor, .filled = cursor + 1, .labels = {}};
}

ffi::Error nearest(resources from, input rows, input numbers, input queries, output values,
                   output indices, output similarities, std::int64_t k) {
  return answer([&] {
    feaug_python::nearest(
        from.caller(), queue_of("nearest", rows, numbers), matrix("nearest", "queries", queries), k,
        matrix("nearest", "values", *values), whole_numbers("nearest", "indices", *indices, k),
        matrix("nearest", "similarities", *similarities));
  });
}

/// `rows` and `numbers` are also the results (aliased): XLA ensures that their old values are no
/// longer needed. The remaining arguments are not read; they make XLA compute them first.
ffi::Error enqueue(resources from, input rows, input numbers, input batch,
                   ffi::RemainingArgs /*after*/, output rows_after, output numbers_after) {
  return answer([&] {
    if (rows.untyped_data() != rows_after->untyped_data() ||
        numbers.untyped_data() != numbers_after->untyped_data()) {
      refuse("enqueue", "queue", "results in memory of their own",
             "the queue's own memory, by input_output_aliases");
    }
    feaug_python::enqueue(from.caller(), queue_of("enqueue", rows, numbers),
                          matrix("enqueue", "rows", batch), {});
  });
}

}  // namespace
}  // namespace feaug_jax

FEAUG_JAX_HANDLER(feaug_nearest, feaug_jax::nearest,
                  xla::ffi::Ffi::Bind()
                      .Ctx<feaug_jax::resources>()
                      .Arg<feaug_jax::input>()
                      .Arg<feaug_jax::input>()
                      .Arg<feaug_jax::input>()
                      .Ret<feaug_jax::input>()
                      .Ret<feaug_jax::input>()
                      .Ret<feaug_jax::input>()
                      .Attr<std::int64_t>("k"));
FEAUG_JAX_HANDLER(feaug_enqueue, feaug_jax::enqueue,
                  xla::ffi::Ffi::Bind()
                      .Ctx<feaug_jax::resources>()
                      .Arg<feaug_jax::input>()
                      .Arg<feaug_jax::input>()
                      .Arg<feaug_jax::input>()
                      .RemainingArgs()
                      .Ret<feaug_jax::input>()
                      .Ret<feaug_jax::input>());
