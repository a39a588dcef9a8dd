// The interface between the PyTorch code (operators.cpp) and the feaug code (contrast.cpp, …).
// Neither includes the other's headers, so that nvcc compiles only feaug, and each is compiled
// once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace feaug_torch {

enum class element_type { float16, bfloat16, float32, float64, int64 };

/// The memory of a tensor: rows of contiguous elements. Absent: no data, no rows.
struct buffer {
  void* data = nullptr;
  element_type type = element_type::float32;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  std::int64_t row_stride = 0;
};

/// An input and the destination of its gradient. Without a gradient it is a constant.
struct side {
  buffer value;
  buffer gradient;
};

/// The execution resources of a call: stream and allocator, or the number of threads.
struct caller {
#if defined(FEAUG_TORCH_CUDA)
  void* stream = nullptr;
  void* (*allocate)(std::size_t bytes) = nullptr;
  void (*deallocate)(void* memory) = nullptr;
#else
  int threads = 1;
#endif
};

/// Arguments of every loss: matrices and numbers with gradients, and one element for the loss.
/// `by_loss`, if present, has one element and multiplies all gradients; it may also multiply the
/// loss.
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

/// The key of the draws of an augmentation. `step` is an element in device or host memory.
struct draw_key {
  std::int64_t seed = 0;
  const std::int64_t* step = nullptr;
  bool step_on_host = true;
  std::int64_t stream = 0;
  std::int64_t row_offset = 0;
};

/// The meaning of the numbers depends on `kind`: see augmentations.cpp.
struct augmentation {
  std::string_view kind;
  std::int64_t option = 0;
  double first = 0;
  double second = 0;
};

/// Without a partner, a mix uses the rows of x in a random permutation.
void augment(const caller& from, const augmentation& policy, const draw_key& key, const buffer& x,
             const buffer& partner, const buffer& out);
void augment_backward(const caller& from, const augmentation& policy, const draw_key& key,
                      const side& x, const side& partner, const buffer& by_out);
void l2_normalize(const caller& from, const buffer& x, const buffer& out);
void l2_normalize_backward(const caller& from, const side& x, const buffer& by_out);

/// A queue, or any matrix if the counters are null.
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

/// targets[i] = momentum · targets[i] + (1 − momentum) · online[i], of the same type and size.
void momentum_update(const caller& from, std::span<const buffer> targets,
                     std::span<const buffer> online, double momentum);

/// Of the library for CPUs: feaug's version, and the instruction set that it uses.
std::string version();
std::string instructions();

}  // namespace feaug_torch
