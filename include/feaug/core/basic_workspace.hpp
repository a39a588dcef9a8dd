// Scratch memory that a context keeps between calls: after the first call of a shape nothing is
// allocated.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <vector>

#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// A stack of scratch arrays. Operators open a scope, take arrays, and give all of them back when
/// the scope ends; an operator that calls another simply has its scope below the other's.
///
/// `Memory` is where it comes from, a small value with
///   static constexpr std::size_t alignment;        // of every array
///   void* allocate(std::size_t bytes);             // throws if there is none
///   void* allocate_or_null(std::size_t bytes);
///   bool may_allocate();                           // false where this is no time to
///   void deallocate(void* memory, std::size_t bytes);
template <class Memory>
class basic_workspace {
 public:
  class scope {
   public:
    explicit scope(basic_workspace& owner)
        : owner_(owner), block_(owner.block_), used_(owner.used_) {}
    scope(const scope&) = delete;
    scope& operator=(const scope&) = delete;
    ~scope() { owner_.release(block_, used_); }

    /// An array of `count` elements, not initialised, on a cache line of its own.
    template <class T>
    [[nodiscard]] T* take(index_t count) {
      static_assert(std::is_trivially_copyable_v<T>);
      return static_cast<T*>(owner_.take(static_cast<std::size_t>(count) * sizeof(T)));
    }
    /// As take, with every element set by the host.
    template <class T>
    [[nodiscard]] T* take_filled(index_t count, T value) {
      static_assert(Memory::space == memory_space::host);
      T* array = take<T>(count);
      std::fill_n(array, count, value);
      return array;
    }

   private:
    basic_workspace& owner_;
    std::size_t block_;
    std::size_t used_;
  };

  basic_workspace() = default;
  explicit basic_workspace(const Memory& memory) : memory_(memory) {}
  basic_workspace(const basic_workspace&) = delete;
  basic_workspace& operator=(const basic_workspace&) = delete;
  basic_workspace(basic_workspace&&) noexcept = default;
  basic_workspace& operator=(basic_workspace&&) noexcept = default;

  /// Bytes held now.
  [[nodiscard]] std::size_t capacity() const {
    std::size_t total = 0;
    for (const block& b : blocks_) total += b.get_deleter().bytes;
    return total;
  }
  /// The most bytes that were in use at once.
  [[nodiscard]] std::size_t peak() const { return peak_; }
  /// Gives back all memory. No scope may be open.
  void clear() {
    blocks_.clear();
    block_ = used_ = 0;
  }
  /// Where the next allocations come from; memory that is held goes back to where it came from.
  void take_memory_from(const Memory& memory) { memory_ = memory; }

 private:
  struct giving_back {
    Memory memory = {};
    std::size_t bytes = 0;
    void operator()(std::byte* held) { memory.deallocate(held, bytes); }
  };
  using block = std::unique_ptr<std::byte, giving_back>;

  void hold(void* memory, std::size_t bytes) {
    blocks_.push_back(block(static_cast<std::byte*>(memory), {.memory = memory_, .bytes = bytes}));
  }

  void* take(std::size_t bytes) {
    constexpr std::size_t unit = Memory::alignment;
    bytes = std::max((bytes + unit - 1) / unit * unit, unit);
    while (block_ < blocks_.size() && used_ + bytes > blocks_[block_].get_deleter().bytes) {
      ++block_;
      used_ = 0;
    }
    if (block_ == blocks_.size()) {
      hold(memory_.allocate(bytes), bytes);
      used_ = 0;
    }
    std::byte* array = blocks_[block_].get() + used_;
    used_ += bytes;
    peak_ = std::max(peak_, bytes_in_use());
    return array;
  }

  [[nodiscard]] std::size_t bytes_in_use() const {
    std::size_t total = used_;
    for (std::size_t b = 0; b < block_; ++b) total += blocks_[b].get_deleter().bytes;
    return total;
  }

  void release(std::size_t block_before, std::size_t used_before) {
    block_ = block_before;
    used_ = used_before;
    // Back at the bottom with several blocks: the next call of this shape finds one that holds
    // everything.
    if (block_ == 0 && used_ == 0 && blocks_.size() > 1 && memory_.may_allocate()) {
      const std::size_t total = capacity();
      blocks_.clear();
      void* memory = memory_.allocate_or_null(total);
      if (memory != nullptr) hold(memory, total);
    }
  }

  Memory memory_ = {};
  std::vector<block> blocks_;
  std::size_t block_ = 0;
  std::size_t used_ = 0;
  std::size_t peak_ = 0;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
