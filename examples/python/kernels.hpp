// What feaug_torch and feaug_jax call: feaug's operators on untyped buffers. The packages' own code
// includes no header of feaug, and the files here include none of PyTorch or JAX, so that one
// compilation serves both and nvcc sees only feaug.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace feaug_python {

enum class element_type { float16, bfloat16, float32, float64, int64 };

/// The memory of an array: rows of contiguous elements. Absent: no data, no rows.
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

/// Calls call(work, number) for numbers of 0 … workers − 1 on threads of the framework, as
/// feaug::executor does.
using executor_function = void (*)(int workers, void (*call)(const void* work, int number),
                                   const void* work);

/// The execution resources of a call: the stream, and scratch memory of the framework, which gets
/// `allocator` with every request; or the number of threads, 0 for all, and the framework's threads,
/// if it lends them.
struct caller {
#if defined(FEAUG_PYTHON_CUDA)
  void* stream = nullptr;
  void* allocator = nullptr;
  void* (*allocate)(void* allocator, std::size_t bytes) = nullptr;
  void (*deallocate)(void* allocator, void* memory) = nullptr;
#else
  int threads = 1;
  executor_function executor = nullptr;
#endif
};

/// A plain argument of a loss, in the field of its type.
struct option {
  double number = 0;
  std::int64_t whole = 0;
  bool flag = false;
  std::string choice;
};

/// The arguments of a call of a loss: matrices and numbers with gradients, plain options, and one
/// element for the loss. `by_loss`, if present, has one element and multiplies all gradients; the
/// loss is then not meaningful. `names` has the names of the matrices, then of the numbers.
struct loss_call {
  std::string_view op;
  std::span<const std::string> names;
  std::span<const side> matrices;
  std::span<const side> numbers;
  std::span<const option> options;
  buffer labels;
  buffer by_loss;
  buffer loss;
};

/// A loss. All that the packages need of it follows from `signature`, the function's signature in
/// Python without `recompute` and the result: PyTorch's schema, its formulas of autograd and of fake
/// tensors; JAX's custom call; the function with its checks, and its stub. Types in this order,
/// where Tensor is an array of the framework:
///   Tensor, Tensor | None     a matrix with a gradient; the first ones have no default
///   Tensor, named labels      integers, without a gradient
///   float | Tensor            a number; a tensor of one element gets a gradient
///   float, int, bool, Literal a plain option
/// `run` gets the matrices, the tensors among the numbers, and as options the plain numbers and
/// options in the order of the signature, whose types are the letters of `option_types`.
struct loss_row {
  const char* signature;
  const char* documentation;
  void (*run)(const caller& from, const loss_call& call);
  const char* option_types;
};

std::span<const loss_row> contrastive_losses();
std::span<const loss_row> agreement_losses();

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

}  // namespace feaug_python
