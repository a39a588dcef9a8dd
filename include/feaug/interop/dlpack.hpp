// DLPack tensors as views, to exchange data with PyTorch, JAX, CuPy, TensorFlow and others. Nothing
// is copied.
//
// DLManagedTensor and DLManagedTensorVersioned are recognised by their members, so this header does
// not include dlpack.h and works with every version of it. The format is specified at
// https://dmlc.github.io/dlpack/latest/c_api.html.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// A type that contains a DLPack tensor, of either ABI.
template <class M>
concept dlpack_managed = requires(const M& m) {
  m.dl_tensor.data;
  m.dl_tensor.ndim;
  m.dl_tensor.dtype.code;
  m.dl_tensor.shape;
  m.dl_tensor.strides;
  m.dl_tensor.byte_offset;
};

namespace detail::dlpack {

// The values of DLDataTypeCode, DLDeviceType and the flags that are used here.
inline constexpr int code_int = 0;
inline constexpr int code_float = 2;
inline constexpr int code_bfloat = 4;
inline constexpr int code_bool = 6;
inline constexpr int device_cpu = 1;
inline constexpr int device_cuda = 2;
inline constexpr int device_cuda_host = 3;
inline constexpr int device_cuda_managed = 13;
inline constexpr std::uint32_t major_version = 1;
inline constexpr std::uint64_t flag_read_only = 1;

struct type {
  int code;
  int bits;
  int lanes = 1;
  friend bool operator==(const type&, const type&) = default;
};

template <class T>
constexpr type type_of() {
  static_assert(element<T> || std::is_same_v<T, std::int64_t>,
                "feaug::from_dlpack: float, double, half, bfloat16 or std::int64_t");
  if constexpr (std::is_same_v<T, std::int64_t>) return {code_int, 64};
  if constexpr (std::is_same_v<T, bfloat16>) return {code_bfloat, 16};
  return {code_float, 8 * static_cast<int>(sizeof(T))};
}

inline std::string name(const type& t) {
  if (t == type{code_bool, 8}) return "bool";
  static constexpr const char* names[] = {"int",    "uint",    "float", "handle",
                                          "bfloat", "complex", "bool"};
  std::string result =
      t.code >= 0 && t.code < 7 ? names[t.code] : "type code " + check::text(t.code) + " of bits ";
  result += check::text(t.bits);
  if (t.lanes != 1) result += " x " + check::text(t.lanes) + " lanes";
  return result;
}

inline std::string device_name(int device) {
  switch (device) {
    case device_cpu:
      return "CPU";
    case device_cuda:
      return "CUDA";
    case device_cuda_host:
      return "CUDA host";
    case device_cuda_managed:
      return "CUDA managed";
    default:
      return "device type " + check::text(device);
  }
}

/// Pinned and managed memory is accessible from both sides.
constexpr bool reachable(int device, memory_space space) {
  if (device == device_cuda_host || device == device_cuda_managed) return true;
  return device == (space == memory_space::host ? device_cpu : device_cuda);
}

template <class Tensor>
int device_type(const Tensor& tensor) {
  if constexpr (requires { tensor.device; }) {
    return static_cast<int>(tensor.device.device_type);
  } else {
    return static_cast<int>(tensor.ctx.device_type);  // its name before DLPack 0.5
  }
}

/// If the major version is not the supported one, only the version field may be read.
template <class T, class Managed>
void check_version(std::string_view op, const Managed& managed) {
  if constexpr (requires { managed.version.major; }) {
    if (managed.version.major != major_version) {
      check::fail(op, "version",
                  check::text(managed.version.major) + "." + check::text(managed.version.minor),
                  check::text(major_version) + ".x");
    }
  }
  if constexpr (requires { managed.flags; } && !std::is_const_v<T>) {
    if ((managed.flags & flag_read_only) != 0) {
      check::fail(op, "flags", "a read-only tensor", "a writable one, or const elements");
    }
  }
}

/// The checks that do not depend on the rank.
template <class T, memory_space Space, class Tensor>
void check_tensor(std::string_view op, const Tensor& tensor, int rank) {
  constexpr type wanted = type_of<std::remove_const_t<T>>();
  const type got = {static_cast<int>(tensor.dtype.code), static_cast<int>(tensor.dtype.bits),
                    static_cast<int>(tensor.dtype.lanes)};
  if (got != wanted) check::fail(op, "dtype", name(got), name(wanted));
  const int device = device_type(tensor);
  if (!reachable(device, Space)) {
    check::fail(op, "device", device_name(device), Space == memory_space::host ? "CPU" : "CUDA");
  }
  if (static_cast<int>(tensor.ndim) != rank) {
    check::fail(op, "ndim", check::text(tensor.ndim), check::text(rank));
  }
  if (tensor.shape == nullptr)
    check::fail(op, "shape", "a null pointer", check::text(rank) + " extents");
}

template <class T, class Tensor>
T* data_of(std::string_view op, const Tensor& tensor, bool empty) {
  if (empty)
    return nullptr;  // the pointer of an empty tensor is not used,
                     // so it may be null
  if (tensor.data == nullptr)
    check::fail(op, "data", "a null pointer", "a pointer to its elements");
  auto* bytes = static_cast<std::byte*>(const_cast<void*>(static_cast<const void*>(tensor.data))) +
                tensor.byte_offset;
  if (reinterpret_cast<std::uintptr_t>(bytes) % alignof(T) != 0) {
    check::fail(op, "data",
                "an address (byte_offset " + check::text(tensor.byte_offset) +
                    " included) that is no multiple of " + check::text(alignof(T)),
                "an aligned one");
  }
  return reinterpret_cast<T*>(bytes);
}

/// The view of a tensor that has passed check_version.
template <class T, std::size_t Rank, memory_space Space, class Tensor>
tensor_view<T, Rank, Space> view_of(std::string_view op, const Tensor& tensor) {
  check_tensor<T, Space>(op, tensor, static_cast<int>(Rank));
  tensor_view<T, Rank, Space> result;
  index_t packed = 1;
  for (std::size_t axis = Rank; axis-- > 0;) {
    result.extents[axis] = static_cast<index_t>(tensor.shape[axis]);
    result.strides[axis] =
        tensor.strides == nullptr ? packed : static_cast<index_t>(tensor.strides[axis]);
    // Producers may set any stride for an axis of extent ≤ 1.
    if (result.extents[axis] <= 1) result.strides[axis] = packed;
    if (axis > 0) packed *= result.extents[axis];  // the product of all axes might overflow
  }
  result.data = data_of<T>(op, tensor, result.empty());
  if constexpr (std::is_const_v<T>) {
    check::readable(op, "tensor", result);
  } else {
    check::writable(op, "tensor", result);
  }
  return result;
}

template <class T, std::size_t Rank, memory_space Space, class Managed>
tensor_view<T, Rank, Space> borrow(std::string_view op, const Managed* managed) {
  if (managed == nullptr) check::fail(op, "managed", "a null pointer", "a managed tensor");
  check_version<T>(op, *managed);
  return view_of<T, Rank, Space>(op, managed->dl_tensor);
}

}  // namespace detail::dlpack

/// A DLPack matrix (samples × features) as a view: `from_dlpack<float>(managed)`, or const float
/// for a read-only view. T is float, double, half, bfloat16 or std::int64_t and must be the
/// tensor's type. Space must match the tensor's device (pinned and managed CUDA memory match both).
/// Rows may be strided, features must be contiguous.
///
/// The tensor is borrowed: its deleter is not called, and the view is valid until the tensor's
/// owner calls it. If another stream still writes the data, the caller must wait for it, as for the
/// `stream` argument of the protocol.
///
/// Errors: type, lanes, device, rank, strides, a null or misaligned pointer, a major version other
/// than 1; for a non-const T also a read-only or broadcast tensor.
template <class T, memory_space Space = memory_space::host, dlpack_managed Managed>
matrix_view<T, Space> from_dlpack(const Managed* managed) {
  return detail::dlpack::borrow<T, 2, Space>("from_dlpack", managed);
}

/// The same for one axis: labels, ids, one loss a row. Any stride is allowed.
template <class T, memory_space Space = memory_space::host, dlpack_managed Managed>
vector_view<T, Space> vector_from_dlpack(const Managed* managed) {
  return detail::dlpack::borrow<T, 1, Space>("vector_from_dlpack", managed);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
