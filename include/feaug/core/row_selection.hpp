// Which rows of a batch an augmentation treats: all of them, or those that one_of drew for it.
#pragma once

#include <cstdint>

#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Rows i with choice[i] == part; every row where there is no choice.
struct row_selection {
  const std::int32_t* choice = nullptr;
  std::int32_t part = 0;

  [[nodiscard]] bool all() const { return choice == nullptr; }
  [[nodiscard]] FEAUG_HD bool contains(index_t i) const {
    return choice == nullptr || choice[i] == part;
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
