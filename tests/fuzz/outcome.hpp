// Comparisons of an operator's results.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

#include "feaug/core/element.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "fuzz/target.hpp"
#include "support/operators/results.hpp"
#include "support/relative_error.hpp"

namespace fuzz {

using conformance::result;
using testing::relative_error;

inline std::string name_of(const result& one) {
  return one.name + (one.route.empty() ? "" : " of " + one.route);
}

/// Calls check.operator()<T>() for one of the four element types.
template <class Check>
void with_any_type(choices& choose, const Check& check) {
  switch (choose.between(0, 3)) {
    case 0:
      return check.template operator()<float>();
    case 1:
      return check.template operator()<double>();
    case 2:
      return check.template operator()<feaug::half>();
    default:
      return check.template operator()<feaug::bfloat16>();
  }
}

/// One that the machine has.
inline feaug::instruction_set chosen_instructions(choices& choose) {
  using feaug::instruction_set;
  const instruction_set set =
      choose.one_of({instruction_set::avx2, instruction_set::amx, instruction_set::portable});
  return std::min(set, feaug::best_instruction_set());
}

template <class T>
std::string type_name() {
  if constexpr (std::is_same_v<T, double>) return "double";
  if constexpr (std::is_same_v<T, float>) return "float";
  if constexpr (std::is_same_v<T, feaug::half>) return "half";
  return "bfloat16";
}

/// Relative error of an operator on T with equal inputs: sums in float or double, one rounding at
/// the end. Random calls include badly conditioned ones, so this is wider than in the tests.
template <class T>
double tolerance() {
  if constexpr (std::is_same_v<T, double>) return 1e-8;
  if constexpr (std::is_same_v<T, float>) return 5e-4;
  if constexpr (std::is_same_v<T, feaug::half>) return 5e-3;
  return 3e-2;
}

inline void require_same_bits(const std::vector<result>& got, const std::vector<result>& want,
                              const std::string& where) {
  require(got.size() == want.size(), where + ": other results");
  for (std::size_t i = 0; i < got.size(); ++i) {
    require(conformance::bits_of({got[i]}) == conformance::bits_of({want[i]}),
            where + ": other bits in " + name_of(got[i]));
  }
}

}  // namespace fuzz
