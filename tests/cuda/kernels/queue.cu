// Kernels of the queue and of the search, for all element types.
#include "kernels.cuh"

void kernels::compile_queue(feaug::cuda_context& ctx) {
  for_each_type(ctx, [](auto& c, const auto& v) {
    feaug::enqueue(c, v.queue, v.input);
    feaug::gather(c, v.queue, {}, {.values = v.output});
    feaug::nearest(c, v.queue, v.input, {.values = v.output});
    feaug::nearest(c, v.input, v.input, {.values = v.output});
    feaug::advance_step(c, nullptr);
  });
}
