// A non-owning reference to any callable with a given signature, like C++26's std::function_ref. A
// function that takes one is compiled once; with a template parameter, once for each caller.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>
#include <memory>
#include <type_traits>
#include <utility>

#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::detail {

template <class Signature>
class function_ref;

/// The callable must outlive the reference: use function_ref as a parameter, do not store it. Each
/// call is an indirect call, so call it at most once per row, not once per element.
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

#include "feaug/header_end.hpp"
