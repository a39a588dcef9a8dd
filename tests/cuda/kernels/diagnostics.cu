// Kernels of the diagnostics, for all element types.
#include "kernels.cuh"

void kernels::compile_diagnostics(feaug::cuda_context& ctx) {
  const feaug::device_vector<double> to;
  for_each_type(ctx, [&to](auto& c, const auto& v) {
    feaug::alignment(c, v.input, v.input, to);
    feaug::effective_rank(c, v.input, to);
    feaug::uniformity(c, v.input, to);
    feaug::feature_deviation(c, v.input, to);
  });
  feaug::neighbour_accuracy(ctx, {}, {}, {}, to);
  feaug::same_sample_share(ctx, {}, {}, {}, to);
}
