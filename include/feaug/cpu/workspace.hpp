// Scratch memory that a context keeps between calls: after the first call of a shape nothing is
// allocated.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <vector>

#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// A stack of scratch arrays. Operators open a scope, take arrays, and give all of them back when
/// the scope ends; an operator that calls another simply has its scope below the other's.
class workspace {
 public:
  class scope {
   public:
    explicit scope(workspace& owner) : owner_(owner), block_(owner.block_), used_(owner.used_) {}
    scope(const scope&) = delete;
    scope& operator=(const scope&) = delete;
    ~scope() { owner_.release(block_, used_); }

    /// An array of `count` elements, not initialised, on a cache line of its own.
    template <class T>
    [[nodiscard]] T* take(index_t count) {
      static_assert(std::is_trivially_copyable_v<T>);
      return static_cast<T*>(owner_.take(static_cast<std::size_t>(count) * sizeof(T)));
    }
    /// As take, with every element set.
    template <class T>
    [[nodiscard]] T* take_filled(index_t count, T value) {
      T* array = take<T>(count);
      std::fill_n(array, count, value);
      return array;
    }

   private:
    workspace& owner_;
    std::size_t block_;
    std::size_t used_;
  };

  workspace() = default;
  workspace(const workspace&) = delete;
  workspace& operator=(const workspace&) = delete;
  workspace(workspace&&) = default;
  workspace& operator=(workspace&&) = default;

  /// Bytes held now.
  [[nodiscard]] std::size_t capacity() const {
    std::size_t total = 0;
    for (const block& b : blocks_) total += b.bytes;
    return total;
  }
  /// The most bytes that were in use at once.
  [[nodiscard]] std::size_t peak() const { return peak_; }
  /// Gives back all memory. No scope may be open.
  void clear() {
    blocks_.clear();
    block_ = used_ = 0;
  }

 private:
  static constexpr std::size_t alignment = 64;

  struct deleter {
    void operator()(std::byte* memory) const {
      ::operator delete (memory, std::align_val_t{alignment});
    }
  };
  struct block {
    std::unique_ptr<std::byte, deleter> memory;
    std::size_t bytes = 0;
  };

  void* take(std::size_t bytes) {
    bytes = std::max((bytes + alignment - 1) / alignment * alignment, alignment);
    while (block_ < blocks_.size() && used_ + bytes > blocks_[block_].bytes) {
      ++block_;
      used_ = 0;
    }
    if (block_ == blocks_.size()) {
      auto* memory = static_cast<std::byte*>(::operator new (bytes, std::align_val_t{alignment}));
      blocks_.push_back({.memory = std::unique_ptr<std::byte, deleter>(memory), .bytes = bytes});
      used_ = 0;
    }
    std::byte* array = blocks_[block_].memory.get() + used_;
    used_ += bytes;
    peak_ = std::max(peak_, bytes_in_use());
    return array;
  }

  [[nodiscard]] std::size_t bytes_in_use() const {
    std::size_t total = used_;
    for (std::size_t b = 0; b < block_; ++b) total += blocks_[b].bytes;
    return total;
  }

  void release(std::size_t block_before, std::size_t used_before) {
    block_ = block_before;
    used_ = used_before;
    // Back at the bottom with several blocks: the next call of this shape finds one that holds
    // everything.
    if (block_ == 0 && used_ == 0 && blocks_.size() > 1) {
      const std::size_t total = capacity();
      blocks_.clear();
      auto* memory = static_cast<std::byte*>(
          ::operator new (total, std::align_val_t{alignment}, std::nothrow));
      if (memory != nullptr)
        blocks_.push_back({.memory = std::unique_ptr<std::byte, deleter>(memory), .bytes = total});
    }
  }

  std::vector<block> blocks_;
  std::size_t block_ = 0;
  std::size_t used_ = 0;
  std::size_t peak_ = 0;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
