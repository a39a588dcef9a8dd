// CPU code shared by all augmentations: augmentation_on<cpu_context, P>.
//
// The functions augment and augment_backward are in feaug/augment/augmentation.hpp.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/augment/augmentation.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/operation.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Sets the gradient of x, if wanted, to zero (or adds nothing) in the rows that are (`selected`)
/// or are not selected.
template <element T>
void put_zero_gradient(operation& call, const operand<T>& x, const row_selection& selection,
                       bool selected) {
  for_each_row(call.context(), x.value.rows(), x.value.cols(), {}, [&](index_t i, int) {
    if (selection.contains(i) == selected)
      put_gradient(x, i, [](index_t) { return compute_t<T>{0}; });
  });
}

/// choice[i] = the part of row i according to `parts`, −1 for rows that are not selected.
template <class Parts, class Choice>
void choose_parts(operation& /*call*/, const Parts& parts, const random_key& key,
                  const row_selection& selection, index_t rows, const Choice& choice) {
  for (index_t i = 0; i < rows; ++i) {
    choice[i] = selection.contains(i) ? parts.of_row(key, i) : -1;
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
