// Scratch memory as an Eigen matrix.
#pragma once

#include <Eigen/Core>

#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu::detail {

template <class C>
using tile_map = Eigen::Map<Eigen::Matrix<C, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>>;

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu::detail
