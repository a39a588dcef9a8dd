#include "fiber.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <new>

#include "race_checks.hpp"
#include "support/sanitizer.hpp"

#if defined(FEAUG_TEST_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(FEAUG_TEST_TSAN)
#include <sanitizer/tsan_interface.h>
#endif
#if defined(__x86_64__)
#define SIMT_SWITCH_X86_64
#else
#include <ucontext.h>
#endif

#if defined(SIMT_SWITCH_X86_64)
// Saves the callee-saved registers on the current stack and restores them from the other stack.
extern "C" void simt_switch_stack(void** save, void* load);
asm(R"(
.text
.globl simt_switch_stack
.type simt_switch_stack, @function
simt_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size simt_switch_stack, .-simt_switch_stack
)");
#endif

namespace simt {

struct fiber::state {
  char* mapping = nullptr;  // a guard page, then the stack
  std::size_t mapped = 0;
  const void* bottom = nullptr;  // of the stack; for the scheduler, known after its first switch
  std::size_t bytes = 0;
#if defined(SIMT_SWITCH_X86_64)
  void* stack_pointer = nullptr;
#else
  ucontext_t context = {};
#endif
#if defined(FEAUG_TEST_ASAN)
  void* fake_stack = nullptr;
#endif
#if defined(FEAUG_TEST_TSAN)
  void* identity = nullptr;
#endif
};

namespace {

// Bounds of the stack that was left last, which ASan reports.
[[maybe_unused]] const void** left_bottom = nullptr;
[[maybe_unused]] std::size_t* left_bytes = nullptr;

}  // namespace

fiber::fiber() : state_(std::make_unique<state>()) {
#if defined(FEAUG_TEST_TSAN)
  state_->identity = __tsan_get_current_fiber();
#endif
}

fiber::fiber(std::size_t stack_bytes) : state_(std::make_unique<state>()) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  state& s = *state_;
  s.bytes = (stack_bytes + page - 1) / page * page;
  s.mapped = s.bytes + page;
  void* memory = mmap(nullptr, s.mapped, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  s.mapping = static_cast<char*>(memory);
  mprotect(s.mapping, page, PROT_NONE);
  s.bottom = s.mapping + page;
#if defined(FEAUG_TEST_TSAN)
  s.identity = __tsan_create_fiber(0);
#endif
}

fiber::~fiber() {
  if (state_->mapping == nullptr) return;
#if defined(FEAUG_TEST_TSAN)
  __tsan_destroy_fiber(state_->identity);
#endif
  munmap(state_->mapping, state_->mapped);
}

void fiber::restart(void (*entry)()) {
  state& s = *state_;
#if defined(SIMT_SWITCH_X86_64)
  // As if entry had been called: the stack is aligned to 16 bytes before the return address, which
  // is never used.
  auto** top = reinterpret_cast<void**>(s.mapping + s.mapped) - 1;
  *top-- = nullptr;
  *top = reinterpret_cast<void*>(entry);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  s.stack_pointer = top;
#else
  getcontext(&s.context);
  s.context.uc_stack.ss_sp = const_cast<void*>(s.bottom);
  s.context.uc_stack.ss_size = s.bytes;
  s.context.uc_link = nullptr;
  makecontext(&s.context, entry, 0);
#endif
}

// One half of this function runs as one fiber, the other half as another, so TSan must ignore its
// accesses.
SIMT_UNSEEN_BY_TSAN void fiber::switch_from_to(fiber& from, fiber& to, [[maybe_unused]] bool last) {
  state& a = *from.state_;
  state& b = *to.state_;
#if defined(FEAUG_TEST_ASAN)
  left_bottom = &a.bottom;
  left_bytes = &a.bytes;
  __sanitizer_start_switch_fiber(last ? nullptr : &a.fake_stack, b.bottom, b.bytes);
#endif
#if defined(FEAUG_TEST_TSAN)
  __tsan_switch_to_fiber(b.identity, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(SIMT_SWITCH_X86_64)
  simt_switch_stack(&a.stack_pointer, b.stack_pointer);
#else
  swapcontext(&a.context, &b.context);
#endif
  // Execution continues here after a switch back to `from`.
#if defined(FEAUG_TEST_ASAN)
  __sanitizer_finish_switch_fiber(a.fake_stack, left_bottom, left_bytes);
#endif
}

void fiber::entered() {
#if defined(FEAUG_TEST_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, left_bottom, left_bytes);
#endif
}

}  // namespace simt
