// A row_mix as a user would write it.
#pragma once

#include <string_view>

#include "feaug/cpu/augment/row_mix.hpp"

namespace testing {

/// Replaces the mean of x by its partner's mean.
struct exchange_means {
  static constexpr std::string_view name = "exchange_means";
  static constexpr bool centred = true;
  static constexpr bool compares_rows = false;
  FEAUG_HD feaug::row_measure measure(double length, double centre, feaug::index_t /*cols*/) const {
    return {centre, 1 + (length - length), 1};
  }
  FEAUG_HD feaug::row_combination output(const feaug::row_pair& pair, double /*weight*/) const {
    return {0, 1, 0, pair.partner.centre};
  }
  FEAUG_HD feaug::row_gradients gradients(const feaug::row_pair& pair,
                                          const feaug::gradient_sums& sums,
                                          double /*weight*/) const {
    const double mean = sums.g / static_cast<double>(pair.cols);
    return {.x = {1, 0, 0, -mean}, .partner = {0, 0, 0, mean}};
  }
};

}  // namespace testing
