// Scratch memory of the CPU.
#pragma once

#include "feaug/header_begin.hpp"

#include <cstddef>
#include <new>

#include "feaug/core/basic_workspace.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// The process's heap, aligned to cache lines.
struct host_memory {
  static constexpr memory_space space = memory_space::host;
  static constexpr std::size_t alignment = 64;

  static void* allocate(std::size_t bytes) {
    return ::operator new (bytes, std::align_val_t{alignment});
  }
  static void* allocate_or_null(std::size_t bytes) {
    return ::operator new (bytes, std::align_val_t{alignment}, std::nothrow);
  }
  static bool may_allocate() { return true; }
  static void deallocate(void* memory, std::size_t /*bytes*/, workspace_freed /*when*/) {
    ::operator delete (memory, std::align_val_t{alignment});
  }
};

using workspace = basic_workspace<host_memory>;

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
