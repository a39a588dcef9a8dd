// Positive extrapolation and negative interpolation of FT (Zhu et al., arXiv 2108.02982) with
// extrapolate and interpolate: both calls for a pair use the same weights, and the gradient flows
// through both.
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <vector>

#include "feaug/cpu/augment/mix.hpp"
#include "feaug/cpu/loss/info_nce.hpp"
#include "feaug/cpu/queue/support_queue.hpp"
#include "support/automatic_gradient.hpp"
#include "support/test_matrix.hpp"

namespace extrapolated_pair_test {

using feaug::differentiable;
using feaug::index_t;
using feaug::stop_gradient;
using testing::dual;
using testing::test_matrix;

namespace {

constexpr feaug::random_key key{.seed = 21, .step = 8, .stream = 4};
constexpr index_t rows = 4;
constexpr index_t cols = 3;
constexpr index_t count = 5;  // number of negatives
constexpr double temperature = 0.5;

/// MoCo's loss without normalisation: mean over i of −s_i + log(exp s_i + Σ_j exp s_ij), where s
/// are dot products of q̂ with k̂ and with the mixed negatives, divided by the temperature.
template <class C>
C ft_loss(const std::vector<C>& q, const std::vector<double>& k,
          const std::vector<double>& negatives, const std::vector<double>& m) {
  C total = q[0] * 0.0;
  for (std::size_t i = 0; i < rows; ++i) {
    std::vector<C> moved;
    C positive = q[0] * 0.0;
    for (std::size_t j = i * cols; j < (i + 1) * cols; ++j) {
      moved.push_back(m[i] * q[j] + (1 - m[i]) * k[j]);
      const C key_moved = m[i] * k[j] + (1 - m[i]) * q[j];
      positive += moved.back() * key_moved / temperature;
    }
    C sum = exp(positive);
    for (std::size_t n = 0; n < count; ++n) {
      C score = q[0] * 0.0;
      for (std::size_t j = 0; j < cols; ++j)
        score += moved[j] * negatives[n * cols + j] / temperature;
      sum += exp(score);
    }
    total += log(sum) - positive;
  }
  return total / static_cast<double>(rows);
}

}  // namespace

TEST_CASE("FT's pair: both calls use one weight, and the gradient flows through both",
          "[augment][mix]") {
  const auto per = GENERATE(feaug::draw_per::row, feaug::draw_per::call);
  const feaug::extrapolate apart{.distribution = feaug::weight_distribution::beta, .per = per};
  const auto q = test_matrix<double>::normal(rows, cols, 1);
  const auto k = test_matrix<double>::normal(rows, cols, 2);
  feaug::cpu_context ctx{.threads = 2};

  // The weights, drawn separately.
  std::vector<double> m(rows);
  std::vector<index_t> unused(rows);
  feaug::draw(ctx, apart, key, feaug::vector_view<double>(m.data(), rows),
              feaug::vector_view<index_t>(unused.data(), rows));
  for (std::size_t i = 0; i < rows; ++i) CHECK((m[i] >= 1 && m[i] <= 2));
  CHECK((m[0] == m[1]) == (per == feaug::draw_per::call));

  // Negatives: each filled row of the queue, mixed with another one. The queue itself is unchanged.
  auto storage = test_matrix<double>::normal(9, cols, 3);
  storage.fill_row(7, std::numeric_limits<double>::quiet_NaN());  // not filled
  index_t size = count;
  index_t cursor = count;
  const feaug::support_queue<double> queue{
      .storage = storage.view(), .cursor = &cursor, .size = &size};
  const feaug::interpolate between{
      .distribution = feaug::weight_distribution::beta, .alpha = 1.6F, .beta = 1.6F};
  test_matrix<double> negatives(count, cols);
  feaug::augment(ctx, between, queue.storage.rows_from(0, *queue.size), key.streams_later(1),
                 negatives.view());
  std::vector<double> weights(count);
  std::vector<index_t> partner(count);
  feaug::draw(ctx, between, key.streams_later(1), feaug::vector_view<double>(weights.data(), count),
              feaug::vector_view<index_t>(partner.data(), count));
  for (index_t i = 0; i < count; ++i) {
    const double w = weights[static_cast<std::size_t>(i)];
    for (index_t j = 0; j < cols; ++j) {
      CHECK(negatives.get(i, j) ==
            Approx(w * storage.get(i, j) +
                   (1 - w) * storage.get(partner[static_cast<std::size_t>(i)], j)));
    }
  }

  // Forward: each view is mixed with the other one, with the same key.
  test_matrix<double> q_moved(rows, cols);
  test_matrix<double> k_moved(rows, cols);
  feaug::augment(ctx, feaug::with_partner(apart, k.view()), q.view(), key, q_moved.view());
  feaug::augment(ctx, feaug::with_partner(apart, q.view()), k.view(), key, k_moved.view());
  test_matrix<double> dq_moved(rows, cols);
  test_matrix<double> dk_moved(rows, cols);
  const double loss =
      feaug::info_nce_with_gradients(ctx, differentiable(q_moved.view(), dq_moved.view()),
                                     differentiable(k_moved.view(), dk_moved.view()),
                                     {.temperature = temperature,
                                      .in_batch_negatives = false,
                                      .normalize = false,
                                      .negatives = stop_gradient(negatives.view())});
  // Backward: q is also the partner in the second call, so that gradient is accumulated.
  test_matrix<double> dq(rows, cols);
  feaug::augment_backward(ctx, feaug::with_partner(apart, k.view()),
                          differentiable(q.view(), dq.view()), key, dq_moved.view());
  feaug::augment_backward(ctx, feaug::with_partner(apart, feaug::accumulate(q.view(), dq.view())),
                          stop_gradient(k.view()), key, dk_moved.view());

  const auto want = testing::automatic_gradient(
      [&](const std::vector<dual>& in) { return ft_loss(in, k.values(), negatives.values(), m); },
      q.values());
  CHECK(loss == Approx(want.value));
  CHECK(testing::relative_error(dq.values(), want.gradient) < 1e-9);
}

}  // namespace extrapolated_pair_test
