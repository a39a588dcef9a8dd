// Eigen matrices, maps and blocks as views, and views as Eigen maps. Nothing is copied.
#pragma once

#include "feaug/header_begin.hpp"

#include <Eigen/Core>
#include <concepts>
#include <cstddef>
#include <string_view>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

template <class Derived>
void takes_eigen(const Eigen::DenseBase<Derived>&);
template <class Derived>
void takes_eigen_owner(const Eigen::PlainObjectBase<Derived>&);

template <class Object>
concept eigen_dense = requires(const Object& object) {
  takes_eigen(object);
};
template <class Object>
concept eigen_owner = requires(const Object& object) {
  takes_eigen_owner(object);
};

// The 16-bit types have different names in feaug and Eigen and the same bits; other scalars are
// shared.
template <class Scalar>
struct eigen_scalar {
  using feaug_type = Scalar;
  using eigen_type = Scalar;
};
template <>
struct eigen_scalar<Eigen::half> {
  using feaug_type = half;
};
template <>
struct eigen_scalar<Eigen::bfloat16> {
  using feaug_type = bfloat16;
};
template <>
struct eigen_scalar<half> {
  using eigen_type = Eigen::half;
};
template <>
struct eigen_scalar<bfloat16> {
  using eigen_type = Eigen::bfloat16;
};

/// To, const if From is.
template <class From, class To>
using copy_const = std::conditional_t<std::is_const_v<From>, const To, To>;

}  // namespace detail

/// A view of an Eigen object that has memory: matrix, array, Map, Ref, block, or the transpose of
/// one. Const objects give const views. The view is valid as long as the object's memory, so a
/// temporary matrix is a compile error.
///
/// An Eigen vector (one row or one column at compile time) becomes a vector_view, which may have a
/// stride. Anything else becomes a matrix_view and must be row-major with contiguous rows, since
/// rows are samples. If the samples are the columns of a column-major matrix, use
/// `view(m.transpose())`. Eigen::half and Eigen::bfloat16 become half and bfloat16. Error: a map
/// with an inner stride, known only at run time, other than 1.
template <class Object>
requires detail::eigen_dense<std::remove_cvref_t<Object>>
auto view(Object&& object) {
  using object_type = std::remove_cvref_t<Object>;
  constexpr bool has_memory = (object_type::Flags & Eigen::DirectAccessBit) != 0;
  static_assert(
      has_memory,
      "feaug::view: this Eigen expression has no memory of its own: assign it to a matrix first");
  static_assert(std::is_lvalue_reference_v<Object> || !detail::eigen_owner<object_type>,
                "feaug::view: this Eigen matrix is a temporary that dies before the view: give it "
                "a name first");
  constexpr bool is_vector = object_type::IsVectorAtCompileTime;
  constexpr int inner_stride = object_type::InnerStrideAtCompileTime;
  constexpr bool rows_contiguous =
      is_vector || !has_memory ||
      (object_type::IsRowMajor && (inner_stride == 1 || inner_stride == Eigen::Dynamic));
  static_assert(rows_contiguous,
                "feaug::view: rows are samples and have to be contiguous: declare the matrix "
                "Eigen::RowMajor, or pass view(m.transpose()) if the samples are the columns");
  if constexpr (has_memory && rows_contiguous) {
    using scalar = std::remove_pointer_t<decltype(object.data())>;
    using T =
        detail::copy_const<scalar,
                           typename detail::eigen_scalar<std::remove_const_t<scalar>>::feaug_type>;
    static_assert(sizeof(T) == sizeof(scalar) && alignof(T) == alignof(scalar));
    auto* data = reinterpret_cast<T*>(object.data());
    if constexpr (is_vector) {
      vector_view<T> result(data, object.size());
      result.strides[0] = object.innerStride();
      return result;
    } else {
      matrix_view<T> result(data, object.rows(), object.cols(), object.outerStride());
      result.strides[1] = object.innerStride();
      check::readable("view", "matrix", result);
      return result;
    }
  }
}

/// A view as an Eigen matrix: a row-major Map with an outer stride. half and bfloat16 become
/// Eigen's types. Error: features that are not contiguous.
template <class T>
auto as_eigen(const matrix_view<T>& view) {
  using scalar = typename detail::eigen_scalar<std::remove_const_t<T>>::eigen_type;
  using matrix = Eigen::Matrix<scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  check::readable("as_eigen", "view", view);
  return Eigen::Map<detail::copy_const<T, matrix>, Eigen::Unaligned, Eigen::OuterStride<>>(
      reinterpret_cast<detail::copy_const<T, scalar>*>(view.data), view.rows(), view.cols(),
      Eigen::OuterStride<>(view.row_stride()));
}

/// A view as an Eigen column vector.
template <class T>
auto as_eigen(const vector_view<T>& view) {
  using scalar = typename detail::eigen_scalar<std::remove_const_t<T>>::eigen_type;
  using vector = Eigen::Matrix<scalar, Eigen::Dynamic, 1>;
  check::readable("as_eigen", "view", view);
  return Eigen::Map<detail::copy_const<T, vector>, Eigen::Unaligned, Eigen::InnerStride<>>(
      reinterpret_cast<detail::copy_const<T, scalar>*>(view.data), view.size(),
      Eigen::InnerStride<>(view.strides[0]));
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
