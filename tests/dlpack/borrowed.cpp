// C functions for Python's ctypes that use a DLPack capsule as an extension would: view the tensor,
// describe the view, read, write, compute. Each returns null, or an error message.
#include <cstddef>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

#include "feaug/cpu/augment/l2_normalize.hpp"
#include "feaug/interop/dlpack.hpp"
#include "interop/dlpack_abi.hpp"

extern "C" {

/// A capsule's name and pointer. The name determines the struct that it points to.
struct feaug_capsule {
  const char* name;
  const void* managed;
};

struct feaug_view {
  const void* data;
  std::int64_t extents[2];
  std::int64_t strides[2];
};
}

namespace {

using feaug::index_t;
using feaug::tensor_view;
using namespace testing::dlpack;

template <class T>
struct of_type {
  using type = T;
};

template <class T, std::size_t Rank>
tensor_view<T, Rank> borrow(const feaug_capsule& capsule) {
  const auto view = [](const auto* managed) {
    if constexpr (Rank == 2) return feaug::from_dlpack<T>(managed);
    if constexpr (Rank == 1) return feaug::vector_from_dlpack<T>(managed);
  };
  const std::string_view name = capsule.name;
  if (name == "dltensor") return view(static_cast<const DLManagedTensor*>(capsule.managed));
  if (name == "dltensor_versioned") {
    return view(static_cast<const DLManagedTensorVersioned*>(capsule.managed));
  }
  throw std::invalid_argument("a capsule named " + std::string(name));
}

/// Calls f with the element type that `type` names.
template <class F>
void with_element(std::string_view type, const F& f) {
  if (type == "float32") return f(of_type<float>{});
  if (type == "float64") return f(of_type<double>{});
  if (type == "float16") return f(of_type<feaug::half>{});
  if (type == "bfloat16") return f(of_type<feaug::bfloat16>{});
  throw std::invalid_argument("no element type " + std::string(type));
}

template <class F>
void with_type(std::string_view type, const F& f) {
  if (type == "int64") return f(of_type<std::int64_t>{});
  with_element(type, f);
}

/// Calls f with the capsule's view of element type T, a vector (rank 1) or a matrix (rank 2).
template <class T, class F>
void with_view(const feaug_capsule& capsule, int rank, const F& f) {
  if (rank == 1) {
    f(borrow<T, 1>(capsule));
  } else {
    f(borrow<T, 2>(capsule));
  }
}

/// Calls f with every element in row-major order.
template <class T, std::size_t Rank, class F>
void for_each_element(const tensor_view<T, Rank>& view, const F& f) {
  for (index_t i = 0; i < view.extents[0]; ++i) {
    if constexpr (Rank == 1) {
      f(view[i]);
    } else {
      for (index_t j = 0; j < view.cols(); ++j) f(view(i, j));
    }
  }
}

template <class T>
double number(const T& value) {
  if constexpr (feaug::element<T>) {
    return static_cast<double>(feaug::load(value));
  } else {
    return static_cast<double>(value);
  }
}

template <class T>
T element_of(double value) {
  if constexpr (feaug::element<T>) {
    return feaug::store<T>(static_cast<feaug::compute_t<T>>(value));
  } else {
    return static_cast<T>(value);
  }
}

/// The message of the exception that f throws, or null. It is valid until the next call.
template <class F>
const char* message_of(const F& f) {
  static std::string message;
  try {
    f();
  } catch (const std::exception& error) {
    message = error.what();
    return message.c_str();
  }
  return nullptr;
}

}  // namespace

extern "C" {

/// Describes the view of rank `rank` with elements of `type`, mutable if `written` is not 0.
const char* feaug_describe(const feaug_capsule* capsule, const char* type, int rank, int written,
                           feaug_view* description) {
  return message_of([&] {
    const auto describe = [&](const auto& view) {
      description->data = view.data;
      for (int axis = 0; axis < rank; ++axis) {
        description->extents[axis] = view.extents[axis];
        description->strides[axis] = view.strides[axis];
      }
    };
    with_type(type, [&]<class T>(of_type<T>) {
      if (written != 0) {
        with_view<T>(*capsule, rank, describe);
      } else {
        with_view<const T>(*capsule, rank, describe);
      }
    });
  });
}

const char* feaug_read(const feaug_capsule* capsule, const char* type, int rank, double* values) {
  return message_of([&] {
    with_type(type, [&]<class T>(of_type<T>) {
      with_view<const T>(*capsule, rank, [&](const auto& view) {
        for_each_element(view, [&](const T& x) { *values++ = number(x); });
      });
    });
  });
}

const char* feaug_write(const feaug_capsule* capsule, const char* type, int rank,
                        const double* values) {
  return message_of([&] {
    with_type(type, [&]<class T>(of_type<T>) {
      with_view<T>(*capsule, rank, [&](const auto& view) {
        for_each_element(view, [&](T& x) { x = element_of<T>(*values++); });
      });
    });
  });
}

/// Writes the rows of x, normalized to unit length, to out.
const char* feaug_l2_normalize(const feaug_capsule* x, const feaug_capsule* out, const char* type) {
  return message_of([&] {
    with_element(type, [&]<class T>(of_type<T>) {
      feaug::cpu_context ctx{.threads = 1};
      feaug::l2_normalize(ctx, borrow<const T, 2>(*x), borrow<T, 2>(*out));
    });
  });
}
}
