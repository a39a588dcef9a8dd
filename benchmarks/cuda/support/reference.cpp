#include "support/reference.hpp"

#include <algorithm>
#include <thread>

#include "feaug/feaug.hpp"

namespace bench::reference {
namespace {

using feaug::matrix_view;

feaug::cpu_context context() {
  return {.threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()))};
}

matrix_view<const float> view(const matrix& x) { return {x.values.data(), x.rows, x.cols}; }
matrix_view<float> view(matrix& x) { return {x.values.data(), x.rows, x.cols}; }

template <class Policy>
matrix augmented(const Policy& policy, const matrix& x, std::uint64_t seed) {
  auto ctx = context();
  matrix out = zeros(x.rows, x.cols);
  feaug::augment(ctx, policy, view(x), feaug::random_key{.seed = seed}, view(out));
  return out;
}

}  // namespace

contrast nt_xent(const matrix& a, const matrix& b, double temperature) {
  auto ctx = context();
  contrast out = {.by_first = zeros(a.rows, a.cols), .by_second = zeros(b.rows, b.cols)};
  out.loss = feaug::nt_xent_with_gradients(ctx, feaug::differentiable(view(a), view(out.by_first)),
                                           feaug::differentiable(view(b), view(out.by_second)),
                                           {.temperature = temperature});
  return out;
}

contrast info_nce(const matrix& queries, const matrix& keys, double temperature) {
  auto ctx = context();
  contrast out = {.by_first = zeros(queries.rows, queries.cols),
                  .by_second = zeros(keys.rows, keys.cols)};
  out.loss = feaug::info_nce_with_gradients(
      ctx, feaug::differentiable(view(queries), view(out.by_first)),
      feaug::differentiable(view(keys), view(out.by_second)), {.temperature = temperature});
  return out;
}

contrast moco(const matrix& queries, const matrix& keys, const matrix& negatives,
              double temperature) {
  auto ctx = context();
  contrast out = {.by_first = zeros(queries.rows, queries.cols)};
  out.loss =
      feaug::info_nce_with_gradients(ctx, feaug::differentiable(view(queries), view(out.by_first)),
                                     feaug::stop_gradient(view(keys)),
                                     {.temperature = temperature,
                                      .in_batch_negatives = false,
                                      .negatives = feaug::stop_gradient(view(negatives))});
  return out;
}

nnclr_step nnclr(const matrix& storage, index_t cursor, const matrix& targets,
                 const matrix& predictions, double temperature) {
  auto ctx = context();
  nnclr_step out = {.loss = {.by_second = zeros(predictions.rows, predictions.cols)},
                    .storage = storage};
  out.neighbours.resize(static_cast<std::size_t>(targets.rows));
  index_t size = storage.rows;
  const feaug::support_queue<float> queue = {
      .storage = view(out.storage), .cursor = &cursor, .size = &size};
  matrix found = zeros(targets.rows, targets.cols);
  feaug::nearest(ctx, queue, view(targets),
                 {.indices = {out.neighbours.data(), targets.rows, 1}, .values = view(found)});
  out.loss.loss = feaug::info_nce_with_gradients(
      ctx, feaug::stop_gradient(view(found)),
      feaug::differentiable(view(predictions), view(out.loss.by_second)),
      {.temperature = temperature});
  feaug::enqueue(ctx, queue, view(targets));
  return out;
}

contrast negative_cosine(const matrix& prediction, const std::vector<matrix>& targets) {
  auto ctx = context();
  contrast out = {.by_first = zeros(prediction.rows, prediction.cols)};
  const double share = 1.0 / static_cast<double>(targets.size());
  for (const matrix& target : targets) {
    out.loss += share * feaug::negative_cosine_with_gradients(
                            ctx, feaug::accumulate(view(prediction), view(out.by_first)),
                            feaug::stop_gradient(view(target)), {.gradient_scale = share});
  }
  return out;
}

matrix augment(const feaug::mask& policy, const matrix& x, std::uint64_t seed) {
  return augmented(policy, x, seed);
}
matrix augment(const feaug::gaussian_noise& policy, const matrix& x, std::uint64_t seed) {
  return augmented(policy, x, seed);
}
matrix augment(const feaug::interpolate& policy, const matrix& x, std::uint64_t seed) {
  return augmented(policy, x, seed);
}

}  // namespace bench::reference
