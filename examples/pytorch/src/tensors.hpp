// PyTorch's tensors as buffers. Everything here and in operators.cpp uses PyTorch's stable C++ ABI
// only (torch/csrc/stable, torch/headeronly and the C functions aoti_torch_…, torch_…), so that a
// compiled library works with every PyTorch that has them.
#pragma once

#include <dlfcn.h>
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

using namespace feaug_python;  // NOLINT(google-build-using-namespace): the kernels

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

/// Throws if a function of PyTorch has failed. PyTorch tells why from 2.13 on; before, it writes the
/// reason to standard error.
inline void succeed(const char* what, AOTITorchError code) {
  if (code == 0) return;
  static const auto reason = reinterpret_cast<const char* (*)()>(
      dlsym(RTLD_DEFAULT, "torch_exception_get_what_without_backtrace"));
  throw std::runtime_error(
      text("feaug_torch: ", what, " failed", reason == nullptr ? "" : text(": ", reason())));
}

/// Takes an argument from a stack of the stable ABI.
template <class T>
T take(StableIValue from) {
  return torch::stable::detail::to<T>(from);
}
/// (The conversion of PyTorch 2.10 to 2.13 leaks the text.)
template <>
inline std::string take<std::string>(StableIValue from) {
  const auto handle = torch::stable::detail::to<StringHandle>(from);
  std::size_t size = 0;
  const char* data = nullptr;
  succeed("torch_string_length", torch_string_length(handle, &size));
  succeed("torch_string_c_str", torch_string_c_str(handle, &data));
  const std::string copy(data, size);
  succeed("torch_delete_string", torch_delete_string(handle));
  return copy;
}

/// Calls an operator of PyTorch that returns a tensor.
template <class... Arguments>
Tensor call_torch(const char* name, const char* overload, const Arguments&... arguments) {
  std::array<StableIValue, sizeof...(Arguments)> stack = {
      torch::stable::detail::from(arguments)...};
  succeed(name, torch_call_dispatcher(name, overload, stack.data(), TORCH_ABI_VERSION));
  return take<Tensor>(stack[0]);
}

inline Tensor contiguous_copy(const Tensor& x) {
  return call_torch("aten::contiguous", "", x, torch::headeronly::MemoryFormat::Contiguous);
}
/// A copy with another type, which is PyTorch's number.
inline Tensor to_dtype(const Tensor& x, std::int32_t dtype) {
  return call_torch("aten::to", "dtype", x, dtype, false, false, std::nullopt);
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
  if (!x.defined()) throw std::invalid_argument("feaug_torch: got None, wanted a tensor");
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

/// PyTorch's number for the type of x.
inline std::int32_t dtype_of(const Tensor& x) {
  std::int32_t dtype = 0;
  succeed("get_dtype", aoti_torch_get_dtype(x.get(), &dtype));
  return dtype;
}

/// The name of a type in PyTorch's Python, for messages.
inline std::string name_of_type(const Tensor& x) {
  struct named_type {
    std::int32_t number;
    const char* name;
  };
  const named_type types[] = {
      {aoti_torch_dtype_bool(), "bool"},           {aoti_torch_dtype_uint8(), "uint8"},
      {aoti_torch_dtype_int8(), "int8"},           {aoti_torch_dtype_int16(), "int16"},
      {aoti_torch_dtype_int32(), "int32"},         {aoti_torch_dtype_int64(), "int64"},
      {aoti_torch_dtype_float16(), "float16"},     {aoti_torch_dtype_bfloat16(), "bfloat16"},
      {aoti_torch_dtype_float32(), "float32"},     {aoti_torch_dtype_float64(), "float64"},
      {aoti_torch_dtype_complex64(), "complex64"}, {aoti_torch_dtype_complex128(), "complex128"},
  };
  const std::int32_t number = dtype_of(x);
  for (const named_type& type : types)
    if (type.number == number) return type.name;
  return text("PyTorch's type ", number);
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
  const device_place place = place_of(like);
  AtenTensorHandle made = nullptr;
  succeed("empty_strided",
          aoti_torch_empty_strided(static_cast<std::int64_t>(sizes.size()), sizes.data(),
                                   strides.data(), dtype, place.type, place.index, &made));
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
    of.tensor_ = side_by_side && rows_apart ? x : contiguous_copy(x);
    const std::int64_t row_stride = sizes[0] <= 1 ? sizes[1] : of.tensor_->stride(0);
    of.view_ = {of.tensor_->data_ptr(), type, sizes[0], sizes[1], row_stride};
    return of;
  }

  /// All elements, contiguous.
  static held vector(const char* op, const char* name, const Tensor& x, const device_place& place) {
    check_place(op, name, x, place);
    const element_type type = type_of(op, name, x);
    held of;
    of.tensor_ = x.is_contiguous() ? x : contiguous_copy(x);
    of.view_ = {of.tensor_->data_ptr(), type, x.numel(), 1, 1};
    return of;
  }

  [[nodiscard]] const buffer& view() const { return view_; }

 private:
  optional_tensor tensor_;
  buffer view_;
};

}  // namespace feaug_torch
