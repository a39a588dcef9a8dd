// One operator's call on the CPU: its scratch memory. The counterpart of cuda::operation.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/put_gradient.hpp"
#include "feaug/cpu/core/rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

class operation {
 public:
  operation(cpu_context& ctx, std::string_view /*op*/) : ctx_(ctx), scratch_(ctx.workspace) {}

  [[nodiscard]] cpu_context& context() const { return ctx_; }

  /// An array until the call ends. Not initialised.
  template <class T>
  [[nodiscard]] T* take(index_t count) {
    return scratch_.take<T>(count);
  }
  /// Every byte 0.
  template <class T>
  [[nodiscard]] T* take_zeros(index_t count) {
    T* const memory = take<T>(count);
    std::memset(static_cast<void*>(memory), 0, static_cast<std::size_t>(count) * sizeof(T));
    return memory;
  }

 private:
  cpu_context& ctx_;
  workspace::scope scratch_;
};

/// Where x wants a gradient, zero for the rows that are (not) selected.
template <element T>
void put_zero_gradient(operation& call, const operand<T>& x, const row_selection& selection,
                       bool selected) {
  for_each_row(call.context(), x.value.rows(), x.value.cols(), {}, [&](index_t i, int) {
    if (selection.contains(i) == selected)
      put_gradient(x, i, [](index_t) { return compute_t<T>{0}; });
  });
}

/// choice[i] = the part of row i by `parts`, −1 for rows that are not selected.
template <class Parts, class Choice>
void choose_parts(operation& /*call*/, const Parts& parts, const random_key& key,
                  const row_selection& selection, index_t rows, const Choice& choice) {
  for (index_t i = 0; i < rows; ++i) {
    choice[i] = selection.contains(i) ? parts.of_row(key, i) : -1;
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu
