// A random permutation in scratch memory.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>

#include "feaug/core/random.hpp"
#include "feaug/core/random_permutation.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// draw_permutation of `rows` rows; lives as long as the scope. Scratch: 12 bytes a row.
inline index_t* drawn_permutation(workspace::scope& scratch, const random_key& key, index_t rows) {
  auto* const permutation = scratch.take<index_t>(rows);
  draw_permutation(key, permutation, rows, scratch.take<std::uint32_t>(rows));
  return permutation;
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
