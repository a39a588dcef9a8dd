// mdspan as views: std::mdspan, cuda::std::mdspan, Kokkos' mdspan. Nothing is copied.
//
// The type is recognised by its members, so no mdspan header is included or needed.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>
#include <cstddef>
#include <type_traits>

#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// An mdspan of plain memory: its layout is strided and its data handle is a pointer.
template <class M>
concept strided_mdspan = requires(const M& m, std::size_t axis) {
  typename M::element_type;
  { M::rank() } -> std::convertible_to<std::size_t>;
  { M::is_always_strided() } -> std::convertible_to<bool>;
  { m.data_handle() } -> std::same_as<typename M::element_type*>;
  { m.extent(axis) } -> std::convertible_to<index_t>;
  { m.stride(axis) } -> std::convertible_to<index_t>;
}
&&bool(M::is_always_strided());

/// An mdspan of rank 1 as a vector_view, of rank 2 (samples × features) as a matrix_view. Space is
/// the memory space, which the mdspan itself does not carry: `view<memory_space::device>(m)`.
/// Error: features that are not contiguous (layout_left).
template <memory_space Space = memory_space::host, strided_mdspan M>
auto view(const M& m) {
  constexpr std::size_t rank = M::rank();
  static_assert(rank == 1 || rank == 2, "feaug::view: an mdspan of rank 1 or 2");
  tensor_view<typename M::element_type, rank, Space> result;
  result.data = m.data_handle();
  for (std::size_t axis = 0; axis < rank; ++axis) {
    result.extents[axis] = static_cast<index_t>(m.extent(axis));
    result.strides[axis] = static_cast<index_t>(m.stride(axis));
  }
  check::readable("view", "mdspan", result);
  return result;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
