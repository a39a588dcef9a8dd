// Checks that no argument that a call writes overlaps another argument.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstddef>
#include <string_view>
#include <vector>

#include "feaug/core/argument_name.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::check {

/// The arguments of a call, collected one after the other. Names must outlive the object. Each part
/// of a queue or an operand is an argument. Empty views are left out, and null pointers, which other
/// checks report. Nothing is allocated for up to 32 arguments; only long compositions have more.
class call_memory {
 public:
  explicit call_memory(std::string_view op) : op_(op) {}

  template <class T, std::size_t Rank, memory_space S>
  call_memory& reads(std::string_view name, const tensor_view<T, Rank, S>& view) {
    add({}, name, view, false);
    return *this;
  }
  template <class T, std::size_t Rank, memory_space S>
  call_memory& writes(std::string_view name, const tensor_view<T, Rank, S>& view) {
    add({}, name, view, true);
    return *this;
  }
  template <class T, std::size_t Rank, memory_space S>
  call_memory& uses(std::string_view name, const operand<T, Rank, S>& x) {
    add({}, name, x.value, false);
    if (x.wants_gradient()) add("gradient of ", name, x.gradient, true);
    return *this;
  }

  /// Throws if an argument that is written overlaps another one.
  void require_apart() const {
    for (std::size_t i = 0; i < count_; ++i) {
      const region& a = at(i);
      for (std::size_t j = i + 1; j < count_; ++j) {
        const region& b = at(j);
        if (!a.is_written && !b.is_written) continue;
        if (!overlap(a.bytes, b.bytes)) continue;
        const region& written = a.is_written ? a : b;
        const region& other = a.is_written ? b : a;
        fail(op_, argument_name(written.prefix, written.name),
             argument_name("memory that overlaps ", other.prefix, other.name), "memory of its own");
      }
    }
  }

 private:
  struct region {
    std::string_view prefix;
    std::string_view name;
    bool is_written;
    matrix_view<const unsigned char> bytes;
  };
  static constexpr std::size_t most_inline = 32;

  template <class T, memory_space S>
  void add(std::string_view prefix, std::string_view name, const vector_view<T, S>& view,
           bool is_written) {
    add(prefix, name, feaug::detail::as_column(view), is_written);
  }
  template <class T, memory_space S>
  void add(std::string_view prefix, std::string_view name, const matrix_view<T, S>& view,
           bool is_written) {
    if (view.rows() <= 0 || view.cols() <= 0 || view.data == nullptr) return;
    constexpr auto size = static_cast<index_t>(sizeof(T));
    const region added = {.prefix = prefix,
                          .name = name,
                          .is_written = is_written,
                          .bytes = {reinterpret_cast<const unsigned char*>(view.data), view.rows(),
                                    view.cols() * size, view.row_stride() * size}};
    if (count_ < most_inline) {
      first_[count_] = added;
    } else {
      more_.push_back(added);
    }
    ++count_;
  }

  [[nodiscard]] const region& at(std::size_t i) const {
    return i < most_inline ? first_[i] : more_[i - most_inline];
  }

  std::string_view op_;
  region first_[most_inline] = {};
  std::vector<region> more_;
  std::size_t count_ = 0;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::check

#include "feaug/header_end.hpp"
