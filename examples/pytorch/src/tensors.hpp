// PyTorch's tensors as buffers. Everything here and in operators.cpp uses PyTorch's stable C++ ABI
// only (torch/csrc/stable, torch/headeronly and the C functions aoti_torch_…, torch_…), so that a
// compiled library works with every PyTorch that has them.
#pragma once

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <span>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels.hpp"

namespace feaug_torch {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using optional_tensor = std::optional<Tensor>;

/// The parts as one text.
template <class... Parts>
std::string text(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// "OPERATOR: ARGUMENT: …" as std::invalid_argument, which PyTorch turns into a ValueError.
template <class... Parts>
[[noreturn]] void refuse(const char* op, const char* name, const Parts&... parts) {
  throw std::invalid_argument(text(op, ": ", name, ": ", parts...));
}

inline void succeed(const char* what, AOTITorchError code) {
  if (code != 0) throw std::runtime_error(text("feaug_torch: ", what, " failed"));
}

/// Sizes or strides for messages: [2, 3].
inline std::string list_text(torch::headeronly::IntHeaderOnlyArrayRef numbers) {
  std::string all;
  for (const std::int64_t number : numbers) all += (all.empty() ? "" : ", ") + text(number);
  return "[" + all + "]";
}

/// A device as PyTorch's two numbers.
struct device_place {
  std::int32_t type = 0;
  std::int32_t index = -1;

  friend bool operator==(const device_place&, const device_place&) = default;
};

inline device_place place_of(const Tensor& x) {
  device_place place;
  succeed("get_device_type", aoti_torch_get_device_type(x.get(), &place.type));
  succeed("get_device_index", aoti_torch_get_device_index(x.get(), &place.index));
  if (place.type == aoti_torch_device_type_cpu()) place.index = -1;  // of which there is one
  return place;
}

inline std::string text_of(const device_place& place) {
  std::string name = text("device type ", place.type);
  if (place.type == aoti_torch_device_type_cpu()) name = "cpu";
  if (place.type == aoti_torch_device_type_cuda()) name = "cuda";
  if (place.type == aoti_torch_device_type_meta()) name = "meta";
  return place.index < 0 ? name : text(name, ":", place.index);
}

/// The name of a type in PyTorch's Python, for messages.
inline std::string name_of_type(const Tensor& x) {
  switch (x.scalar_type()) {
    case ScalarType::Int:
      return "int32";
    case ScalarType::Short:
      return "int16";
    case ScalarType::Char:
      return "int8";
    case ScalarType::Byte:
      return "uint8";
    case ScalarType::Bool:
      return "bool";
    case ScalarType::ComplexFloat:
      return "complex64";
    case ScalarType::ComplexDouble:
      return "complex128";
    case ScalarType::Long:
      return "int64";
    case ScalarType::Float:
      return "float32";
    case ScalarType::Double:
      return "float64";
    case ScalarType::Half:
      return "float16";
    case ScalarType::BFloat16:
      return "bfloat16";
    default:
      return torch::headeronly::toString(x.scalar_type());
  }
}

/// PyTorch's number for the type of x.
inline std::int32_t dtype_of(const Tensor& x) {
  std::int32_t dtype = 0;
  succeed("get_dtype", aoti_torch_get_dtype(x.get(), &dtype));
  return dtype;
}

/// The types that operators take. PyTorch's numbers of them are asked for once.
inline element_type type_of(const char* op, const char* name, const Tensor& x) {
  static const std::array<std::int32_t, 5> numbers = {
      aoti_torch_dtype_float16(), aoti_torch_dtype_bfloat16(), aoti_torch_dtype_float32(),
      aoti_torch_dtype_float64(), aoti_torch_dtype_int64()};  // in the order of element_type
  const auto at = std::find(numbers.begin(), numbers.end(), dtype_of(x));
  if (at == numbers.end())
    refuse(op, name, "got ", name_of_type(x),
           ", wanted float16, bfloat16, float32, float64, or int64 for labels");
  return static_cast<element_type>(at - numbers.begin());
}

inline void check_place(const char* op, const char* name, const Tensor& x,
                        const device_place& place) {
  if (place_of(x) == place) return;
  throw std::runtime_error(
      text(op, ": ", name,
           ": Expected all tensors to be on the same device, but found at least two devices, ",
           text_of(place_of(x)), " and ", text_of(place), "!"));
}

/// An uninitialised tensor on the device of `like`.
inline Tensor empty_strided(const Tensor& like, std::span<const std::int64_t> sizes,
                            std::span<const std::int64_t> strides, std::int32_t dtype) {
  std::int32_t type = 0;
  std::int32_t index = 0;
  succeed("get_device_type", aoti_torch_get_device_type(like.get(), &type));
  succeed("get_device_index", aoti_torch_get_device_index(like.get(), &index));
  AtenTensorHandle made = nullptr;
  succeed("empty_strided",
          aoti_torch_empty_strided(static_cast<std::int64_t>(sizes.size()), sizes.data(),
                                   strides.data(), dtype, type, index, &made));
  return Tensor(made);
}

/// The same, contiguous.
inline Tensor empty(const Tensor& like, std::span<const std::int64_t> sizes, std::int32_t dtype) {
  std::vector<std::int64_t> strides(sizes.size(), 1);
  for (std::size_t axis = sizes.size(); axis-- > 1;)
    strides[axis - 1] = strides[axis] * std::max<std::int64_t>(sizes[axis], 1);
  return empty_strided(like, sizes, strides, dtype);
}

inline std::span<const std::int64_t> span_of(torch::headeronly::IntHeaderOnlyArrayRef numbers) {
  return {numbers.data(), numbers.size()};
}
inline Tensor contiguous_like(const Tensor& x) { return empty(x, span_of(x.sizes()), dtype_of(x)); }
inline Tensor nothing_like(const Tensor& x) {
  constexpr std::int64_t none[] = {0};
  return empty(x, none, dtype_of(x));
}

/// Whether the elements fill their memory without gaps and overlaps, in any order of the axes.
inline bool is_without_gaps(const Tensor& x) {
  const auto sizes = x.sizes();
  const auto strides = x.strides();
  std::vector<std::size_t> axes(sizes.size());
  std::iota(axes.begin(), axes.end(), std::size_t{0});
  std::erase_if(axes, [&](std::size_t axis) { return sizes[axis] == 1; });
  std::sort(axes.begin(), axes.end(),
            [&](std::size_t a, std::size_t b) { return strides[a] < strides[b]; });
  std::int64_t wanted = 1;
  for (const std::size_t axis : axes) {
    if (strides[axis] != wanted) return x.numel() == 0;
    wanted *= sizes[axis];
  }
  return true;
}

/// A tensor and its memory. It is copied only if features are not contiguous, or if rows overlap.
class held {
 public:
  held() = default;

  /// N rows of D features.
  static held matrix(const char* op, const char* name, const Tensor& x, const device_place& place) {
    check_place(op, name, x, place);
    if (x.dim() != 2)
      refuse(op, name, "got shape ", list_text(x.sizes()), ", wanted 2 axes: rows, features");
    const element_type type = type_of(op, name, x);
    const auto sizes = x.sizes();
    const auto strides = x.strides();
    const bool side_by_side = sizes[1] <= 1 || strides[1] == 1;
    const bool rows_apart = sizes[0] <= 1 || strides[0] == 0 || strides[0] >= sizes[1];
    held of;
    of.tensor_ = side_by_side && rows_apart ? x : torch::stable::contiguous(x);
    const std::int64_t row_stride = sizes[0] <= 1 ? sizes[1] : of.tensor_->stride(0);
    of.view_ = {of.tensor_->data_ptr(), type, sizes[0], sizes[1], row_stride};
    return of;
  }

  /// All elements, contiguous.
  static held vector(const char* op, const char* name, const Tensor& x, const device_place& place) {
    check_place(op, name, x, place);
    const element_type type = type_of(op, name, x);
    held of;
    of.tensor_ = x.is_contiguous() ? x : torch::stable::contiguous(x);
    of.view_ = {of.tensor_->data_ptr(), type, x.numel(), 1, 1};
    return of;
  }

  [[nodiscard]] const buffer& view() const { return view_; }

 private:
  optional_tensor tensor_;
  buffer view_;
};

}  // namespace feaug_torch
