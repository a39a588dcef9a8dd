// feaug with libtorch's types: tensors as views, a loss as an autograd function, a support queue as
// a module whose buffers are the queue's memory.
#pragma once

#include <torch/torch.h>

#if defined(__CUDACC__)
#include <c10/cuda/CUDAStream.h>

#include <feaug/feaug.cuh>
#include <map>
#include <utility>
#else
#include <feaug/feaug.hpp>
#endif
#include <vector>

namespace feaug_torch {

// For tensors on a GPU if compiled by nvcc, otherwise for tensors on the CPU.
#if defined(__CUDACC__)
using context_type = feaug::cuda_context;
inline constexpr torch::DeviceType device = torch::kCUDA;
#else
using context_type = feaug::cpu_context;
inline constexpr torch::DeviceType device = torch::kCPU;
#endif
inline constexpr feaug::memory_space space = context_type::space;

/// A view of a float tensor, without a copy. Rows may have a stride; the features of a row must be
/// contiguous.
template <class T>
feaug::matrix_view<T, space> view(const torch::Tensor& x, const char* name) {
  TORCH_CHECK(x.dim() == 2 && x.device().type() == device && x.scalar_type() == torch::kFloat32,
              name, ": wanted a matrix of floats on ", device, ", got ", x.toString(), x.sizes());
  TORCH_CHECK(x.size(1) <= 1 || x.stride(1) == 1, name,
              ": wanted features side by side, got strides ", x.strides());
  return {x.data_ptr<float>(), x.size(0), x.size(1), x.size(0) <= 1 ? x.size(1) : x.stride(0)};
}

#if defined(__CUDACC__)
/// This thread's context for PyTorch's current stream; it owns the scratch memory.
inline context_type& context() {
  thread_local std::map<std::pair<int, cudaStream_t>, context_type> contexts;
  const c10::cuda::CUDAStream current = c10::cuda::getCurrentCUDAStream();
  // (The default stream of every GPU has the same handle.)
  const auto key = std::pair(static_cast<int>(current.device_index()), current.stream());
  return contexts.try_emplace(key, context_type{.stream = current.stream()}).first->second;
}
#else
/// This thread's context: scratch memory, and as many threads as PyTorch uses.
inline context_type& context() {
  thread_local context_type ctx{.threads = at::get_num_threads()};
  return ctx;
}
#endif

namespace detail {

/// One side of a loss: its rows, and a gradient to fill if one is required.
struct side {
  torch::Tensor rows;
  torch::Tensor gradient;

  explicit side(const torch::Tensor& x)
      : rows(x), gradient(x.requires_grad() ? torch::empty_like(x) : torch::Tensor()) {}

  [[nodiscard]] feaug::operand<float, 2, space> operand(const char* name) const {
    const auto values = view<const float>(rows, name);
    if (!gradient.defined()) return feaug::stop_gradient(values);
    return feaug::differentiable(values, view<float>(gradient, name));
  }
};

}  // namespace detail

/// info_nce. Gradients are computed together with the loss and scaled in backward(). No gradient is
/// computed for a side that does not require one.
class info_nce_function : public torch::autograd::Function<info_nce_function> {
 public:
  static torch::Tensor forward(torch::autograd::AutogradContext* saved,
                               const torch::Tensor& queries, const torch::Tensor& keys,
                               double temperature) {
    const detail::side q(queries);
    const detail::side k(keys);
    const torch::Tensor loss = torch::empty({}, queries.options().requires_grad(false));
    feaug::info_nce_with_gradients(context(), q.operand("queries"), k.operand("keys"),
                                   {loss.data_ptr<float>(), 1}, {.temperature = temperature});
    saved->save_for_backward({q.gradient, k.gradient});
    return loss;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* saved,
                                                 const torch::autograd::variable_list& by_loss) {
    torch::autograd::variable_list gradients;
    for (const torch::Tensor& gradient : saved->get_saved_variables())
      gradients.push_back(gradient.defined() ? gradient * by_loss[0] : torch::Tensor());
    gradients.emplace_back();  // temperature
    return gradients;
  }
};

/// The mean over queries of −log softmax of the own key among all keys.
inline torch::Tensor info_nce(const torch::Tensor& queries, const torch::Tensor& keys,
                              double temperature) {
  return info_nce_function::apply(queries, keys, temperature);
}

/// A queue of rows. Its buffers are its whole state: after torch::save and torch::load it continues
/// bit for bit.
class support_queue : public torch::nn::Module {
 public:
  support_queue(int64_t capacity, int64_t features)
      : rows_(register_buffer("rows", torch::zeros({capacity, features}))),
        cursor_(register_buffer("cursor", torch::zeros({1}, torch::kLong))),
        size_(register_buffer("size", torch::zeros({1}, torch::kLong))) {}

  void enqueue(const torch::Tensor& rows) {
    feaug::enqueue(context(), queue(), view<const float>(rows, "rows"));
  }
  /// For each of `rows`, the nearest row of the queue, as a constant.
  torch::Tensor nearest(const torch::Tensor& rows) {
    torch::Tensor found = torch::empty(rows.sizes(), rows.options().requires_grad(false));
    feaug::nearest(context(), queue(), view<const float>(rows, "rows"),
                   {.values = view<float>(found, "found")});
    return found;
  }

 private:
  feaug::support_queue<float, space> queue() {
    static_assert(sizeof(feaug::index_t) == sizeof(int64_t));
    return {.storage = view<float>(rows_, "queue"),
            .cursor = reinterpret_cast<feaug::index_t*>(cursor_.data_ptr<int64_t>()),
            .size = reinterpret_cast<feaug::index_t*>(size_.data_ptr<int64_t>())};
  }

  torch::Tensor rows_;
  torch::Tensor cursor_;
  torch::Tensor size_;
};

}  // namespace feaug_torch
