// Declarations of names that the documentation's CUDA fragments use without declaring them.
// Fragments are compiled, but not linked or run.
#pragma once

#include <cstdint>

#include "feaug/feaug.cuh"

using feaug::accumulate;
using feaug::differentiable;
using feaug::stop_gradient;

extern cudaStream_t stream;
extern feaug::cuda_context ctx;
extern feaug::device_support_queue<float> queue;

// Pointers to device memory, and views of it.
extern const float *q, *k;
extern float *dq, *result;
extern std::uint64_t* step;
extern feaug::device_matrix<const float> z;
extern feaug::device_matrix<float> masked, neighbours, grad;
extern feaug::device_vector<float> loss;
extern feaug::index_t n, d;

void* take_from_my_pool(std::size_t bytes, cudaStream_t on);
void give_back_to_my_pool(void* memory, cudaStream_t on);
