// An array of objects in scratch memory, for example one per worker. Unlike a std::vector it needs
// no allocation once the context has its scratch memory.
#pragma once

#include "feaug/header_begin.hpp"

#include <memory>
#include <type_traits>

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// `count` objects, each returned by make(). They live as long as the scope.
template <class T>
class scratch_array {
  static_assert(std::is_trivially_destructible_v<T>);

 public:
  template <class Make>
  scratch_array(workspace::scope& scratch, index_t count, const Make& make)
      : items_(scratch.take<T>(count)), count_(count) {
    for (index_t at = 0; at < count; ++at) std::construct_at(items_ + at, make());
  }

  [[nodiscard]] index_t size() const { return count_; }
  [[nodiscard]] T* data() const { return items_; }
  T& operator[](index_t at) const { return items_[at]; }

 private:
  T* items_;
  index_t count_;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
