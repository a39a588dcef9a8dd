// The name of an argument, made of parts: "gradient of queries", "pairs[3].target".
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string_view>

#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::check {

/// Text that is made on the stack: checks name their arguments in every call, and a std::string
/// would allocate although it is needed only for an error. Longer names are cut.
class argument_name {
 public:
  /// Parts are texts and unsigned numbers.
  template <class... Parts>
  explicit argument_name(const Parts&... parts) {
    (add(parts), ...);
  }
  // NOLINTNEXTLINE(google-explicit-constructor): it is a text
  operator std::string_view() const { return {text_, size_}; }

 private:
  static constexpr std::size_t capacity = 96;

  void add(std::string_view part) {
    const std::size_t count = std::min(part.size(), capacity - size_);
    std::copy_n(part.data(), count, text_ + size_);
    size_ += count;
  }
  void add(std::size_t number) {
    size_ = static_cast<std::size_t>(std::to_chars(text_ + size_, text_ + capacity, number).ptr -
                                     text_);
  }

  char text_[capacity];
  std::size_t size_ = 0;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::check

#include "feaug/header_end.hpp"
