// Functions of the program's other units.
#pragma once

#include <feaug/core/tensor_view.hpp>
#include <typeinfo>

/// In a unit of plain C++.
feaug::index_t count_rows(const feaug::matrix_view<const float, feaug::memory_space::device>& x);
/// The type cuda_context in a unit that has found cuBLAS's header.
const std::type_info& context_with_cublas();
