// A reference to anything callable with a signature. A kernel that takes one is compiled once, not
// once for each caller.
#pragma once

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

template <class Signature>
class function_ref;

/// Refers to a callable that must outlive it, as an argument of a call does. A call costs an
/// indirect jump: for work of a row at least, not of an element.
template <class Result, class... Arguments>
class function_ref<Result(Arguments...)> {
 public:
  template <class F>
  requires(!std::same_as<std::remove_cvref_t<F>, function_ref> &&
           std::is_invocable_r_v<Result, F&, Arguments...>)
      // NOLINTNEXTLINE(google-explicit-constructor, bugprone-forwarding-reference-overload)
      function_ref(F&& f)
      : object_(const_cast<void*>(static_cast<const void*>(std::addressof(f)))),
        call_([](void* object, Arguments... arguments) -> Result {
          return static_cast<Result>((*static_cast<std::remove_reference_t<F>*>(object))(
              std::forward<Arguments>(arguments)...));
        }) {}

  Result operator()(Arguments... arguments) const {
    return call_(object_, std::forward<Arguments>(arguments)...);
  }

 private:
  void* object_;
  Result (*call_)(void*, Arguments...);
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail
