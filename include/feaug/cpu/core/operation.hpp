// The scratch memory of one operator call on the CPU. The counterpart of cuda::operation.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstddef>
#include <cstring>
#include <string_view>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

class operation {
 public:
  operation(cpu_context& ctx, std::string_view /*op*/) : ctx_(ctx), scratch_(ctx.workspace) {}

  [[nodiscard]] cpu_context& context() const { return ctx_; }

  /// An uninitialised array that lives until the call ends.
  template <class T>
  [[nodiscard]] T* take(index_t count) {
    return scratch_.take<T>(count);
  }
  /// The same with all bytes 0.
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

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
