// Emulates GPU memory on the CPU: an allocator over one address range, which mprotect makes
// inaccessible to host code except while a kernel or a copy runs.
#include "device_memory.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <map>
#include <new>

#include "support/sanitizer.hpp"

#if defined(FEAUG_TEST_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace simt {
namespace {

void poison([[maybe_unused]] const void* begin, [[maybe_unused]] std::size_t bytes) {
#if defined(FEAUG_TEST_ASAN)
  __asan_poison_memory_region(begin, bytes);
#endif
}

void unpoison([[maybe_unused]] const void* begin, [[maybe_unused]] std::size_t bytes) {
#if defined(FEAUG_TEST_ASAN)
  __asan_unpoison_memory_region(begin, bytes);
#endif
}

/// One reserved range of addresses, so that a single call protects it.
class arena {
 public:
  arena() {
    void* memory =
        mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    base_ = static_cast<char*>(memory);
    free_[0] = reserved;
  }

  void* allocate(std::size_t bytes) {
    // Every allocation is followed by a gap.
    const std::size_t taken = (bytes + 2 * alignment - 1) / alignment * alignment;
    for (auto it = free_.begin(); it != free_.end(); ++it) {
      const auto [begin, size] = *it;
      if (size < taken) continue;
      free_.erase(it);
      if (size > taken) free_[begin + taken] = size - taken;
      used_[begin] = {taken, bytes};
      ++allocations_;
      held_ += bytes;
      const device_memory_access access;
      unpoison(base_ + begin, bytes);
      poison(base_ + begin + bytes, taken - bytes);
      std::memset(base_ + begin, 0xFF, bytes);
      return base_ + begin;
    }
    return nullptr;
  }

  bool release(void* memory) {
    const auto it = used_.find(static_cast<std::size_t>(static_cast<char*>(memory) - base_));
    if (!contains(memory) || it == used_.end()) return false;
    const std::size_t begin = it->first;
    std::size_t size = it->second.taken;
    poison(base_ + begin, size);
    give_back(begin, size);
    held_ -= it->second.bytes;
    used_.erase(it);
    const auto next = free_.find(begin + size);
    if (next != free_.end()) {
      size += next->second;
      free_.erase(next);
    }
    free_[begin] = size;
    return true;
  }

  [[nodiscard]] bool contains(const void* pointer) const {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    const auto begin = reinterpret_cast<std::uintptr_t>(base_);
    return address >= begin && address < begin + reserved;
  }

  void open() {
    if (users_++ == 0) mprotect(base_, reserved, PROT_READ | PROT_WRITE);
  }
  void close() {
    if (--users_ == 0) mprotect(base_, reserved, PROT_NONE);
  }

  [[nodiscard]] std::size_t allocations() const { return allocations_; }
  [[nodiscard]] std::size_t held() const { return held_; }

 private:
  static constexpr std::size_t reserved = std::size_t{4} << 30;
  static constexpr std::size_t alignment = 256;

  /// Returns freed pages to the system. open() and close() take time for every resident page, so a
  /// large freed allocation would slow down all later launches.
  void give_back(std::size_t begin, std::size_t bytes) {
    constexpr std::size_t page = 4096;
    const std::size_t first = (begin + page - 1) / page * page;
    const std::size_t last = (begin + bytes) / page * page;
    if (last > first) madvise(base_ + first, last - first, MADV_DONTNEED);
  }

  struct allocation {
    std::size_t taken;
    std::size_t bytes;
  };

  char* base_ = nullptr;
  std::map<std::size_t, std::size_t> free_;
  std::map<std::size_t, allocation> used_;
  std::size_t allocations_ = 0;
  std::size_t held_ = 0;
  int users_ = 0;
};

arena& the_arena() {
  static arena one;
  return one;
}

}  // namespace

void* allocate_device(std::size_t bytes) { return the_arena().allocate(bytes); }
bool free_device(void* memory) { return the_arena().release(memory); }
bool is_device(const void* pointer) { return the_arena().contains(pointer); }
std::size_t device_allocations() { return the_arena().allocations(); }
std::size_t device_bytes() { return the_arena().held(); }

device_memory_access::device_memory_access() { the_arena().open(); }
device_memory_access::~device_memory_access() { the_arena().close(); }

}  // namespace simt
