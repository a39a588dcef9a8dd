// Beta draws, one number a row: mixing weights.
#pragma once

#include "feaug/header_begin.hpp"

#include <cmath>
#include <cstdint>

#include "feaug/core/elementary.hpp"
#include "feaug/core/exact_math.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/random_normal.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace detail {

/// The words of one row's columns in order, as a rejection loop reads them.
class row_words {
 public:
  FEAUG_HD row_words(const random_key& key, index_t row) : key_(key), row_(row) {}
  FEAUG_HD std::uint32_t next() {
    if (column_ % 4 == 0) block_ = draw_block(key_, row_, column_ / 4);
    return block_.words[column_++ % 4];
  }
  FEAUG_HD float next_logarithm() { return exact::log(positive_uniform_from_word(next())); }

 private:
  random_key key_;
  index_t row_;
  std::uint32_t column_ = 0;
  random_block block_ = {};
};

/// ln of a Gamma(shape, 1) draw, by Marsaglia and Tsang (2000). Computed in logarithms, since the
/// number itself underflows for small shapes.
FEAUG_HD inline float log_gamma_draw(row_words& words, float shape) {
  const bool below_one = shape < 1.0F;
  const float d = (below_one ? shape + 1.0F : shape) - 1.0F / 3.0F;
  const float c = exact::divide(1.0F, exact::sqrt(9.0F * d));
  for (;;) {
    const std::uint32_t radius_word = words.next();
    const float x = normal_from_words(radius_word, words.next()).even;
    const float log_u = words.next_logarithm();
    const float base = feaug::detail::fma(c, x, 1.0F);
    if (!(base > 0.0F)) continue;
    // Products that are added to something are explicit fma, so that the result does not depend on
    // whether a compiler contracts them.
    const float log_base = exact::log(base);
    const float base2 = base * base;
    const float v_and_log = feaug::detail::fma(
        3.0F, log_base, feaug::detail::fma(-base2, base, 1.0F));  // 1 − v + ln v, v = base³
    const float bound = feaug::detail::fma(d, v_and_log, 0.5F * x * x);
    if (!(log_u < bound)) continue;
    const float log_gamma = feaug::detail::fma(3.0F, log_base, exact::log(d));
    return below_one
               ? feaug::detail::fma(words.next_logarithm(), exact::divide(1.0F, shape), log_gamma)
               : log_gamma;
  }
}

}  // namespace detail

/// The Beta(a, b) draw of a row, in [0, 1]; a, b > 0. Reads successive columns of the row, from
/// column 0.
FEAUG_HD inline float draw_beta(const random_key& key, index_t row, float a, float b) {
  detail::row_words words(key, row);
  const float log_x = detail::log_gamma_draw(words, a);
  const float log_y = detail::log_gamma_draw(words, b);
  return exact::divide(1.0F, 1.0F + exact::exp(log_y - log_x));  // x / (x + y)
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
