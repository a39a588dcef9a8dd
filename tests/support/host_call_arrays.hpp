// The inputs and outputs of every_call in host memory.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "feaug/core/element.hpp"
#include "feaug/core/tensor_view.hpp"
#include "support/every_call.hpp"

namespace every_call {

template <feaug::element T>
class basic_host_call_arrays {
 public:
  using C = feaug::compute_t<T>;

  basic_host_call_arrays(index_t rows, index_t cols)
      : rows_(rows),
        cols_(cols),
        x_(numbers(rows * cols, 1)),
        y_(numbers(rows * cols, 2)),
        first_storage_(numbers(2 * rows * cols, 3)),
        storage_(first_storage_),
        out_(size(rows * cols)),
        dx_(size(rows * cols)),
        dy_(size(rows * cols)),
        statistics_(size(2 * rows), C{1}),
        potentials_(size(2 * cols)),
        diagnostics_(5),
        labels_(size(rows)),
        slots_(size(rows)),
        moments_(size(cols + 2 * cols * cols)) {
    for (index_t i = 0; i < rows; ++i) labels_[size(i)] = i % 3;
    reset();
  }

  [[nodiscard]] call_arrays<feaug::memory_space::host, T> arrays() {
    return {.x = {x_.data(), rows_, cols_},
            .y = {y_.data(), rows_, cols_},
            .out = {out_.data(), rows_, cols_},
            .dx = {dx_.data(), rows_, cols_},
            .dy = {dy_.data(), rows_, cols_},
            .storage = {storage_.data(), 2 * rows_, cols_},
            .counters = {counters_, 2},
            .loss_value = {&loss_, 1},
            .statistics = {statistics_.data(), 2 * rows_},
            .potentials = {potentials_.data(), 2 * cols_},
            .diagnostics = {diagnostics_.data(), 5},
            .one = {&one_, 1},
            .labels = {labels_.data(), rows_},
            .slots = {slots_.data(), rows_},
            .moments = {moments_.data(), cols_ + 2 * cols_ * cols_},
            .seen = {&seen_, 1}};
  }

  /// Sets the outputs to values that no operator writes, and the queue to three quarters full.
  void reset() {
    constexpr C nothing = -77;
    for (std::vector<T>* of : {&out_, &dx_, &dy_})
      std::fill(of->begin(), of->end(), feaug::store<T>(nothing));
    loss_ = nothing;
    std::fill(potentials_.begin(), potentials_.end(), 0.5);
    std::fill(diagnostics_.begin(), diagnostics_.end(), static_cast<double>(nothing));
    std::fill(slots_.begin(), slots_.end(), index_t{0});
    std::fill(moments_.begin(), moments_.end(), 0.0);
    std::copy_n(first_storage_.begin(), storage_.size(), storage_.begin());
    counters_[0] = counters_[1] = 2 * rows_ * 3 / 4;
    seen_ = 0;
  }

  void multiply_inputs(float factor) {
    change_inputs([factor](C value) { return value * static_cast<C>(factor); });
  }

  /// All rows become 1 plus `spread` times the former numbers.
  void move_inputs_together(float spread) {
    change_inputs([spread](C value) { return 1 + static_cast<C>(spread) * value; });
  }
  void set_element_of_x(index_t row, index_t column, float value) {
    x_[size(row * cols_ + column)] = feaug::store<T>(static_cast<C>(value));
  }

  /// A hash of the bits of all outputs; all NaN count as equal.
  [[nodiscard]] std::uint64_t hash() const {
    std::uint64_t result = 0xcbf29ce484222325U;  // FNV-1a
    const auto add = [&result](std::uint64_t bits) {
      for (int at = 0; at < 64; at += 8) result = (result ^ (bits >> at & 0xFFU)) * 0x100000001b3U;
    };
    // Integer arithmetic, because this function may be compiled with -ffinite-math-only.
    const auto add_number = [&add]<class Bits>(auto value, Bits infinity) {
      const auto bits = std::bit_cast<Bits>(value);
      add((bits & (~Bits{0} >> 1U)) > infinity ? ~std::uint64_t{0} : bits);
    };
    using word =
        std::conditional_t<sizeof(T) == 2, std::uint16_t,
                           std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>>;
    const auto infinity = std::bit_cast<word>(feaug::store<T>(std::numeric_limits<C>::infinity()));
    for (const std::vector<T>* of : {&out_, &dx_, &dy_, &storage_}) {
      for (const T value : *of) add_number(value, infinity);
    }
    add_number(static_cast<double>(loss_), std::uint64_t{0x7FF0000000000000U});
    for (const std::vector<double>* of : {&potentials_, &diagnostics_, &moments_}) {
      for (const double value : *of) add_number(value, std::uint64_t{0x7FF0000000000000U});
    }
    for (const index_t slot : slots_) add(static_cast<std::uint64_t>(slot));
    for (const index_t number : {counters_[0], counters_[1], seen_})
      add(static_cast<std::uint64_t>(number));
    return result;
  }

 private:
  template <class Change>
  void change_inputs(const Change& change) {
    for (std::vector<T>* of : {&x_, &y_, &first_storage_}) {
      for (T& value : *of) value = feaug::store<T>(change(feaug::load(value)));
    }
  }

  static std::size_t size(index_t count) { return static_cast<std::size_t>(count); }

  /// Roughly normal, and the same under any compiler flags: sums of four integers, divided by 2¹⁵.
  static std::vector<T> numbers(index_t count, std::uint32_t seed) {
    std::vector<T> values(size(count));
    std::uint32_t word = seed * 0x9E3779B9U;
    for (T& value : values) {
      std::int32_t sum = 0;
      for (int k = 0; k < 4; ++k) {
        word = word * 1664525U + 1013904223U;
        sum += static_cast<std::int32_t>(word >> 16U) - 0x8000;
      }
      value = feaug::store<T>(static_cast<C>(sum) / C{32768});
    }
    return values;
  }

  index_t rows_;
  index_t cols_;
  std::vector<T> x_;
  std::vector<T> y_;
  std::vector<T> first_storage_;
  std::vector<T> storage_;
  std::vector<T> out_;
  std::vector<T> dx_;
  std::vector<T> dy_;
  C loss_ = 0;
  std::vector<C> statistics_;
  std::vector<double> potentials_;
  std::vector<double> diagnostics_;
  std::vector<index_t> labels_;
  std::vector<index_t> slots_;
  std::vector<double> moments_;
  index_t counters_[2] = {};
  index_t seen_ = 0;
  C one_ = 1;
};

using host_call_arrays = basic_host_call_arrays<float>;

}  // namespace every_call
