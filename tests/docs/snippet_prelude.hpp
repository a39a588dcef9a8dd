// Declares names that the documentation's fragments use without declaring them. Fragments are
// compiled, but not linked or run. A fragment may declare one of these names itself; its own
// declaration then hides the one here.
#pragma once

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <feaug/feaug.hpp>
#include <span>
#include <string>
#include <vector>

using feaug::accumulate;
using feaug::differentiable;
using feaug::stop_gradient;

extern feaug::cpu_context ctx;
extern feaug::random_key key;
extern feaug::support_queue<float> queue;

// Features of the two views (N × D), their predictions, and the gradients of all these.
extern feaug::matrix_view<float> x, z, z1, z2, p, p1, p2, y, out;
extern feaug::matrix_view<float> dx, dz, dz1, dz2, dp, dp1, dp2, dy, dout;
extern feaug::matrix_view<float> grad_x, grad_out;
extern feaug::matrix_view<float> queries, keys, negatives, support, partner, neighbours, keep;
extern feaug::matrix_view<float> grad_queries, grad_keys, grad_negatives;
extern feaug::matrix_view<std::int64_t> indices;
extern feaug::matrix_view<float> similarities;
extern feaug::vector_view<std::int64_t> ids, labels;

// Scores (products with prototypes) of both views, of a queue and of several crops.
extern feaug::matrix_view<float> scores, queue_scores, assignments;
extern feaug::matrix_view<float> scores_a, scores_b, grad_scores_a, grad_scores_b;
extern std::vector<feaug::matrix_view<float>> crops, grad_crops;
extern std::int64_t prototypes;

// A loss, its cotangent, and the statistics that a forward pass writes for its backward pass.
extern feaug::vector_view<float> loss, row_losses, statistics, row_weights, weights;
extern feaug::vector_view<const float> cotangent;
extern std::int64_t n, d, rows, cols, columns;
extern float tau, temperature;
