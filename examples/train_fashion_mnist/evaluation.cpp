#include "evaluation.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "model.hpp"
#include "neighbours.hpp"
#include "network/adamw.hpp"
#include "network/linear.hpp"

namespace trainer {
namespace {

using network::index;
using network::matrix;
constexpr index classes = 10;

/// Standardises both sets with the training set's statistics.
void standardise(matrix<float>& train, matrix<float>& test) {
  const matrix<float> mean = train.colwise().mean();
  train.rowwise() -= mean.row(0);
  test.rowwise() -= mean.row(0);
  const matrix<float> scale =
      (train.colwise().squaredNorm() / static_cast<float>(train.rows())).array().sqrt() + 1e-5F;
  train.array().rowwise() /= scale.row(0).array();
  test.array().rowwise() /= scale.row(0).array();
}

/// (softmax − one-hot) / number of rows: the gradient of the mean cross-entropy.
void to_cross_entropy_gradient(matrix<float>& logits, const std::vector<std::int64_t>& labels) {
  for (index i = 0; i < logits.rows(); ++i) {
    auto row = logits.row(i);
    row = (row.array() - row.maxCoeff()).exp().matrix();
    row /= row.sum();
    row(labels[static_cast<std::size_t>(i)]) -= 1.0F;
  }
  logits /= static_cast<float>(logits.rows());
}

double share_right(const matrix<float>& scores, const std::vector<std::int64_t>& labels) {
  std::int64_t right = 0;
  for (index i = 0; i < scores.rows(); ++i) {
    index best = 0;
    scores.row(i).maxCoeff(&best);
    if (best == labels[static_cast<std::size_t>(i)]) ++right;
  }
  return static_cast<double>(right) / static_cast<double>(scores.rows());
}

/// Multinomial logistic regression with full-batch AdamW. There are few features, so a few hundred
/// updates converge.
double linear_accuracy(feaug::cpu_context& ctx, const matrix<float>& train,
                       const std::vector<std::int64_t>& train_labels, const matrix<float>& test,
                       const std::vector<std::int64_t>& test_labels) {
  constexpr int updates = 300;
  network::linear<float> probe(train.cols(), classes, {.seed = 0});
  network::state<float> all;
  probe.collect(all, "probe");
  network::adamw<float> optimiser(all);
  for (int update = 0; update < updates; ++update) {
    all.zero_gradients();
    matrix<float> gradient = probe.forward(ctx, train);
    to_cross_entropy_gradient(gradient, train_labels);
    probe.backward(ctx, gradient);  // the unused input gradient costs little
    const double left = 1.0 - static_cast<double>(update) / updates;
    optimiser.step({.learning_rate = 0.05 * left, .weight_decay = 1e-3});
  }
  return share_right(probe.forward(ctx, test), test_labels);
}

double knn_accuracy(feaug::cpu_context& ctx, const matrix<float>& train,
                    const std::vector<std::int64_t>& train_labels, const matrix<float>& test,
                    const std::vector<std::int64_t>& test_labels) {
  const feaug::index_t k = std::min<feaug::index_t>(20, train.rows());
  const neighbours found = neighbours_of(ctx, train, test, k);
  matrix<float> votes = matrix<float>::Zero(test.rows(), classes);
  for (std::size_t at = 0; at < found.rows.size(); ++at) {
    const auto label = train_labels[static_cast<std::size_t>(found.rows[at])];
    votes(static_cast<index>(at) / k, label) += std::max(0.0F, found.similarities[at]);
  }
  return share_right(votes, test_labels);
}

}  // namespace

accuracies evaluate(feaug::cpu_context& ctx, network::encoder<float>& encoder,
                    const fashion_mnist& data) {
  matrix<float> train = features_of(ctx, encoder, data.train.images);
  matrix<float> test = features_of(ctx, encoder, data.held_out.images);
  accuracies result;
  result.knn = knn_accuracy(ctx, train, data.train.labels, test, data.held_out.labels);
  standardise(train, test);
  result.linear = linear_accuracy(ctx, train, data.train.labels, test, data.held_out.labels);
  return result;
}

}  // namespace trainer
