// Functions that return the loss can be called with {} for default options, although functions with
// the same inputs write the loss to a vector.
#include <catch2/catch.hpp>

#include "feaug/feaug.hpp"
#include "support/host_call_arrays.hpp"

namespace default_options_test {

TEST_CASE("{} are default options", "[loss][options]") {
  every_call::host_call_arrays memory(12, 5);
  const auto m = memory.arrays();
  const auto [a, b] = m.both();
  feaug::cpu_context ctx;
#define FEAUG_TEST_DEFAULTS(NAME)                                      \
  CHECK(feaug::NAME(ctx, m.x, m.y, {}) == feaug::NAME(ctx, m.x, m.y)); \
  CHECK(feaug::NAME##_with_gradients(ctx, a, b, {}) == feaug::NAME##_with_gradients(ctx, a, b))
  FEAUG_TEST_DEFAULTS(info_nce);
  FEAUG_TEST_DEFAULTS(symmetric_info_nce);
  FEAUG_TEST_DEFAULTS(nt_xent);
  FEAUG_TEST_DEFAULTS(negative_cosine);
  FEAUG_TEST_DEFAULTS(kl_to_standard_normal);
  FEAUG_TEST_DEFAULTS(sigmoid);
  FEAUG_TEST_DEFAULTS(barlow_twins);
  FEAUG_TEST_DEFAULTS(vicreg);
  FEAUG_TEST_DEFAULTS(hypersphere);
  FEAUG_TEST_DEFAULTS(swapped_assignment);
#undef FEAUG_TEST_DEFAULTS
  CHECK(feaug::supervised_contrastive(ctx, m.x, m.labels, {}) ==
        feaug::supervised_contrastive(ctx, m.x, m.labels));
  CHECK(feaug::mean_shift(ctx, m.x, m.y, m.queue(), {}) ==
        feaug::mean_shift(ctx, m.x, m.y, m.queue()));
  CHECK(feaug::relation_distillation(ctx, m.x, m.y, m.queue(), {}) ==
        feaug::relation_distillation(ctx, m.x, m.y, m.queue()));
  CHECK(feaug::soft_neighbour_contrast(ctx, m.x, m.y, m.y, {}) ==
        feaug::soft_neighbour_contrast(ctx, m.x, m.y, m.y));
  CHECK(feaug::masked_prediction(ctx, m.x, m.y, feaug::mask{}, m.key(), {}) ==
        feaug::masked_prediction(ctx, m.x, m.y, feaug::mask{}, m.key()));
  CHECK(feaug::alignment(ctx, m.x, m.y, {}) == feaug::alignment(ctx, m.x, m.y));
  CHECK(feaug::uniformity(ctx, m.x, {}) == feaug::uniformity(ctx, m.x));
}

}  // namespace default_options_test
