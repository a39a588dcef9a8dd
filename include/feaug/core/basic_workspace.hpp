// Scratch memory that a context keeps between calls: after the first call of a given shape no
// further memory is allocated.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// When memory is freed: in a call, in the order of its other work, or at any other time.
enum class workspace_freed { in_call, at_any_time };

/// A stack of scratch arrays. An operator opens a scope and takes arrays; all are released when the
/// scope ends. Scopes nest, so an operator can call another.
///
/// `Memory` is the allocator, a small value type with
///   static constexpr std::size_t alignment;        // of every array
///   void* allocate(std::size_t bytes);             // throws if there is none
///   void* allocate_or_null(std::size_t bytes);
///   bool may_allocate();                           // false while a graph is captured
///   void deallocate(void* memory, std::size_t bytes, freed when);
///
/// A graph that is captured keeps the addresses of the blocks that were in use. These blocks are
/// freed by clear() and by the destructor only.
template <class Memory>
class basic_workspace {
 public:
  using freed = workspace_freed;

  class scope {
   public:
    explicit scope(basic_workspace& owner)
        : owner_(owner), block_(owner.block_), used_(owner.used_) {}
    scope(const scope&) = delete;
    scope& operator=(const scope&) = delete;
    ~scope() { owner_.release(block_, used_); }

    /// An uninitialised array of `count` elements, on cache lines of its own.
    template <class T>
    [[nodiscard]] T* take(index_t count) {
      static_assert(std::is_trivially_copyable_v<T>);
      return static_cast<T*>(owner_.take(static_cast<std::size_t>(count) * sizeof(T)));
    }
    /// Like take, with every element set by the host.
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
  [[nodiscard]] std::size_t capacity() const { return capacity(0); }
  /// The largest number of bytes in use at once.
  [[nodiscard]] std::size_t peak() const { return peak_; }
  /// Frees all memory. No scope may be open, and no graph that used the memory may run afterwards.
  void clear(freed when = freed::at_any_time) {
    free_from(0, when);
    block_ = used_ = captured_ = 0;
  }
  /// Sets the allocator of later allocations; blocks already held are freed by the one they came
  /// from.
  void take_memory_from(const Memory& memory) { memory_ = memory; }

 private:
  struct giving_back {
    Memory memory = {};
    std::size_t bytes = 0;
    void operator()(std::byte* held) { memory.deallocate(held, bytes, freed::at_any_time); }
  };
  using block = std::unique_ptr<std::byte, giving_back>;

  void hold(void* memory, std::size_t bytes) {
    blocks_.push_back(block(static_cast<std::byte*>(memory), {.memory = memory_, .bytes = bytes}));
  }

  /// Frees the blocks from number `first` on.
  void free_from(std::size_t first, freed when) {
    while (blocks_.size() > first) {
      block last = std::move(blocks_.back());
      blocks_.pop_back();  // first, so that no block without memory is left if deallocate throws
      giving_back& owner = last.get_deleter();
      owner.memory.deallocate(last.release(), owner.bytes, when);
    }
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
    if (!memory_.may_allocate()) captured_ = std::max(captured_, block_ + 1);
    peak_ = std::max(peak_, bytes_in_use());
    return array;
  }

  /// Bytes of the blocks from number `first` on.
  [[nodiscard]] std::size_t capacity(std::size_t first) const {
    std::size_t total = 0;
    for (std::size_t b = first; b < blocks_.size(); ++b) total += blocks_[b].get_deleter().bytes;
    return total;
  }

  [[nodiscard]] std::size_t bytes_in_use() const {
    std::size_t total = used_;
    for (std::size_t b = 0; b < block_; ++b) total += blocks_[b].get_deleter().bytes;
    return total;
  }

  void release(std::size_t block_before, std::size_t used_before) {
    block_ = block_before;
    used_ = used_before;
    // All scopes are closed and several blocks may be freed: replace them by one block, so that the
    // next call of this shape fits into it.
    if (block_ == 0 && used_ == 0 && blocks_.size() > captured_ + 1 && memory_.may_allocate()) {
      const std::size_t total = capacity(captured_);
      free_from(captured_, freed::in_call);
      void* memory = memory_.allocate_or_null(total);
      if (memory != nullptr) hold(memory, total);
    }
  }

  Memory memory_ = {};
  std::vector<block> blocks_;
  std::size_t block_ = 0;
  std::size_t used_ = 0;
  std::size_t captured_ = 0;  ///< the first blocks, which captured graphs use
  std::size_t peak_ = 0;
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
