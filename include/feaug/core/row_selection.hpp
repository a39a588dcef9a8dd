// The rows of a batch that an augmentation treats: all rows, or those that one_of assigned to it.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstdint>

#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Rows i with choice[i] == part; every row if choice is null.
struct row_selection {
  const std::int32_t* choice = nullptr;
  std::int32_t part = 0;

  [[nodiscard]] bool all() const { return choice == nullptr; }
  [[nodiscard]] FEAUG_HD bool contains(index_t i) const {
    return choice == nullptr || choice[i] == part;
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
