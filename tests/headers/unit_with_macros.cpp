// A unit of feaug_headers_twice that defines clashing macros before it includes feaug, and then uses
// feaug's options.
#include "clashing_macros.hpp"
#include "feaug/feaug.hpp"

#if !defined(slots) || !defined(min) || !defined(T) || !defined(None) || !defined(major)
#error "header_end.hpp must restore the user's macros"
#endif

double loss_in_unit_with_macros() {
  feaug::cpu_context ctx{.threads = 1};
  const float rows[] = {1, 0, 0, 1};
  const feaug::matrix_view<const float> x(rows, 2, 2);
  float storage[] = {1, 0, 0, 1};
  feaug::index_t cursor = 0;
  feaug::index_t size = 2;
  const feaug::support_queue<float> queue{
      .storage = {storage, 2, 2}, .cursor = &cursor, .size = &size};
  feaug::index_t indices[2];
  feaug::index_t used[2];
  float out[4];
  feaug::augment(ctx,
                 feaug::neighbour_from(queue, feaug::neighbour{},
                                       {.indices = {indices, 2}, .rows_used = {used, 2, 1}}),
                 x, feaug::random_key{}, feaug::matrix_view<float>(out, 2, 2));
  return feaug::info_nce(ctx, feaug::matrix_view<const float>(out, 2, 2), x,
                         {.temperature = 1, .reduction = feaug::reduce::sum});
}
