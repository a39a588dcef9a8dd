// PyTorch's tensors as buffers.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_strided.h>

#include <optional>
#include <string>

#include "kernels.hpp"

namespace feaug_torch {

using at::Tensor;
using optional_tensor = std::optional<Tensor>;

#if defined(FEAUG_TORCH_CUDA)
inline constexpr at::DeviceType device_type = at::DeviceType::CUDA;
#else
inline constexpr at::DeviceType device_type = at::DeviceType::CPU;
#endif

/// The name of a type in PyTorch's Python, for messages.
inline std::string name_of_type(const Tensor& x) {
  switch (x.scalar_type()) {
    case at::kInt:
      return "int32";
    case at::kShort:
      return "int16";
    case at::kChar:
      return "int8";
    case at::kByte:
      return "uint8";
    case at::kBool:
      return "bool";
    case at::kComplexFloat:
      return "complex64";
    case at::kComplexDouble:
      return "complex128";
    case at::kLong:
      return "int64";
    case at::kFloat:
      return "float32";
    case at::kDouble:
      return "float64";
    case at::kHalf:
      return "float16";
    case at::kBFloat16:
      return "bfloat16";
    default:
      return c10::toString(x.scalar_type());
  }
}

inline element_type type_of(const char* op, const char* name, const Tensor& x) {
  switch (x.scalar_type()) {
    case at::kHalf:
      return element_type::float16;
    case at::kBFloat16:
      return element_type::bfloat16;
    case at::kFloat:
      return element_type::float32;
    case at::kDouble:
      return element_type::float64;
    case at::kLong:
      return element_type::int64;
    default:
      TORCH_CHECK_TYPE(false, op, ": ", name, ": got ", name_of_type(x),
                       ", wanted float16, bfloat16, float32, float64, or int64 for labels");
  }
}

inline void check_place(const char* op, const char* name, const Tensor& x,
                        const at::Device& device) {
  TORCH_CHECK(x.device() == device, op, ": ", name,
              ": Expected all tensors to be on the same device, but found at least two devices, ",
              x.device(), " and ", device, "!");
}

/// A tensor and its memory. It is copied only if features are not contiguous, or if rows overlap.
class held {
 public:
  held() = default;

  /// N rows of D features.
  static held matrix(const char* op, const char* name, const Tensor& x, const at::Device& device) {
    check_place(op, name, x, device);
    TORCH_CHECK_VALUE(x.dim() == 2, op, ": ", name, ": got shape ", x.sizes(),
                      ", wanted 2 axes: rows, features");
    const bool side_by_side = x.size(1) <= 1 || x.stride(1) == 1;
    const bool rows_apart = x.size(0) <= 1 || x.stride(0) == 0 || x.stride(0) >= x.size(1);
    held of;
    of.tensor_ = side_by_side && rows_apart ? x : x.contiguous();
    const Tensor& t = of.tensor_;
    of.view_ = {t.data_ptr(), feaug_torch::type_of(op, name, x), t.size(0), t.size(1),
                t.size(0) <= 1 ? t.size(1) : t.stride(0)};
    return of;
  }

  /// All elements, contiguous.
  static held vector(const char* op, const char* name, const Tensor& x, const at::Device& device) {
    check_place(op, name, x, device);
    held of;
    of.tensor_ = x.contiguous();
    of.view_ = {of.tensor_.data_ptr(), feaug_torch::type_of(op, name, x), x.numel(), 1, 1};
    return of;
  }

  [[nodiscard]] const buffer& view() const { return view_; }

 private:
  Tensor tensor_;
  buffer view_;
};

}  // namespace feaug_torch
