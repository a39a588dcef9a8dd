// What PyTorch's side (operators.cpp) and feaug's side (losses.cpp, …) say to each other. Neither
// sees the other's headers, so that nvcc compiles feaug alone and each is compiled once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace feaug_torch {

enum class element_type { float16, bfloat16, float32, float64, int64 };

/// A tensor's memory: rows of elements side by side. Absent: no data, no rows.
struct buffer {
  void* data = nullptr;
  element_type type = element_type::float32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t row_stride = 0;
};

/// An input, and where its gradient goes; no gradient: it is a constant.
struct side {
  buffer value;
  buffer gradient;
};

/// On whose behalf a kernel runs.
struct caller {
#if defined(FEAUG_TORCH_CUDA)
  void* stream = nullptr;
  void* (*allocate)(std::size_t bytes) = nullptr;
  void (*deallocate)(void* memory) = nullptr;
#else
  int threads = 1;
#endif
};

/// What every loss is given: matrices and numbers that have gradients, one element for the loss.
/// `by_loss`, if present, has one element, and multiplies all gradients (and may the loss).
struct loss_call {
  std::span<const side> matrices;
  std::span<const side> numbers;
  buffer labels;
  buffer by_loss;
  buffer loss;
};

void info_nce(const caller& from, const loss_call& call, double temperature,
              std::int64_t positive_offset, bool in_batch_negatives);
void nt_xent(const caller& from, const loss_call& call, double temperature, bool decoupled,
             double positive_weighting);
void symmetric_info_nce(const caller& from, const loss_call& call, double temperature);
void sigmoid(const caller& from, const loss_call& call, double scale, double bias);
void supervised_contrastive(const caller& from, const loss_call& call, double temperature);
void negative_cosine(const caller& from, const loss_call& call, bool simsiam);
void barlow_twins(const caller& from, const loss_call& call, double lambda, double eps);
void vicreg(const caller& from, const loss_call& call, double invariance, double variance,
            double covariance, double eps);
void hypersphere(const caller& from, const loss_call& call, double t, double lam, double alpha);

/// What an augmentation draws from: `step` is an element in the caller's memory, or in the host's.
struct draw_key {
  std::int64_t seed = 0;
  const std::int64_t* step = nullptr;
  bool step_on_host = true;
  std::int64_t stream = 0;
  std::int64_t row_offset = 0;
};

/// `kind` names it. What the numbers mean depends on it: see augmentations.cpp.
struct augmentation {
  std::string_view kind;
  std::int64_t option = 0;
  double first = 0;
  double second = 0;
};

/// Without a partner a mix takes rows of x in a drawn order.
void augment(const caller& from, const augmentation& policy, const draw_key& key, const buffer& x,
             const buffer& partner, const buffer& out);
void augment_backward(const caller& from, const augmentation& policy, const draw_key& key,
                      const side& x, const side& partner, const buffer& by_out);
void l2_normalize(const caller& from, const buffer& x, const buffer& out);
void l2_normalize_backward(const caller& from, const side& x, const buffer& by_out);

/// A queue, or with no counters any matrix.
struct support {
  buffer rows;
  std::int64_t* cursor = nullptr;
  std::int64_t* filled = nullptr;
  buffer labels;
  bool normalize = true;
};

void enqueue(const caller& from, const support& queue, const buffer& batch, const buffer& labels);
void nearest(const caller& from, const support& queue, const buffer& queries, std::int64_t k,
             const buffer& values, const buffer& indices, const buffer& similarities);

/// targets[i] follows online[i], of the same type and size.
void momentum_update(const caller& from, std::span<const buffer> targets,
                     std::span<const buffer> online, double momentum);

}  // namespace feaug_torch
