// An entry of the table of augmentations, and the table of the CPU.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "feaug/core/tensor_view.hpp"
#include "support/operators/registry.hpp"

namespace testing {

struct augmentation_case {
  std::string name;
  std::string op;  ///< the name at the start of error messages
  conformance::run_function run;
  std::string x = "x";            ///< the name of the augmented features
  std::string exact_result = {};  ///< the result that has the CPU's bits on a GPU
  bool is_large = false;          ///< also compared at shapes of several tiles
  /// Allowed difference between GPU and CPU, as a factor of the usual tolerance.
  double tolerance = 0.01;
  /// True if row i depends only on row i and the key.
  bool by_row = true;
  /// True if the gradient is the derivative of the formula; false for straight-through gradients
  /// and for quantities treated as constants.
  bool has_slopes = true;
  feaug::index_t least_cols = 0;

  augmentation_case& within(double share) {
    tolerance = share;
    return *this;
  }
  augmentation_case& exact(std::string result_name) {
    exact_result = std::move(result_name);
    return *this;
  }
  augmentation_case& large() {
    is_large = true;
    return *this;
  }
  augmentation_case& without_slopes() {
    has_slopes = false;
    return *this;
  }
  augmentation_case& of_columns() {
    least_cols = 1;
    return *this;
  }
};

/// The table of the CPU. One translation unit instantiates it, once per type.
template <class T>
std::vector<augmentation_case> cpu_augmentations();

}  // namespace testing
