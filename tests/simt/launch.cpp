#include "launch.hpp"

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "device_memory.hpp"
#include "fiber.hpp"
#include "race_checks.hpp"

namespace simt {
namespace {

template <class... Parts>
std::string message(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

constexpr unsigned lanes = 32;
constexpr unsigned most_threads = 1024;

enum class waiting { no, at_barrier, at_warp_operation, finished };

/// An asynchronous copy that has been started.
struct noted_copy {
  void* to;
  const void* from;  ///< null: zeros
  std::size_t bytes;

  void carry_out() const {
    if (from == nullptr) {
      std::memset(to, 0, bytes);
    } else {
      std::memcpy(to, from, bytes);
    }
  }
};

/// A thread's asynchronous copies that have not been carried out.
class copy_groups {
 public:
  void note(const noted_copy& copy) { open_.push_back(copy); }
  void commit() { closed_.push_back(std::exchange(open_, {})); }
  /// Removes and returns the copies of all closed groups except the `pending` latest.
  std::vector<noted_copy> due(int pending) {
    std::vector<noted_copy> copies;
    while (closed_.size() > static_cast<std::size_t>(pending)) {
      copies.insert(copies.end(), closed_.front().begin(), closed_.front().end());
      closed_.pop_front();
    }
    return copies;
  }
  void clear() {
    open_.clear();
    closed_.clear();
  }

 private:
  std::vector<noted_copy> open_;
  std::deque<std::vector<noted_copy>> closed_;
};

struct thread {
  std::unique_ptr<fiber> flow;
  uint3 index;
  unsigned warp = 0;
  unsigned lane = 0;
  waiting state = waiting::no;
  place at;
  // While it waits at a barrier or a warp operation:
  int predicate = 0;
  warp_operation operation = warp_operation::synchronise;
  unsigned mask = 0;
  std::uint64_t published = 0;
  copy_groups copies;
};

struct warp {
  unsigned alive = 0;
  unsigned arrived = 0;
  unsigned meetings = 0;
  std::uint64_t published[lanes] = {};
  // Used alternately, as below.
  unsigned char exchanged[2][lanes][exchange_bytes] = {};
  // Used alternately, so that a fast lane's next arrival does not order a slow lane's previous
  // departure.
  ordering synchronised[2];
};

/// Shared memory of a block: the dynamic part, and variables identified by the place of their
/// declaration.
class shared_memory {
 public:
  void begin_block(std::size_t dynamic_bytes) {
    variables_.clear();
    dynamic_ = block_of_memory(dynamic_bytes);
  }
  [[nodiscard]] void* dynamic() const { return dynamic_.data(); }

  void* variable(std::size_t bytes, std::size_t alignment, place at) {
    if (alignment > block_of_memory::alignment) throw error("shared variable aligned too strictly");
    auto& found = variables_[{at.file, at.line}];
    if (found.data() == nullptr) found = block_of_memory(bytes);
    return found.data();
  }

 private:
  /// A separate allocation, so that ASan sees overruns; filled with NaN.
  class block_of_memory {
   public:
    static constexpr std::size_t alignment = 128;
    block_of_memory() = default;
    explicit block_of_memory(std::size_t bytes)
        : memory_(static_cast<unsigned char*>(
              ::operator new (std::max<std::size_t>(bytes, 1), std::align_val_t{alignment}))) {
      std::memset(memory_.get(), 0xFF, bytes);
    }
    [[nodiscard]] void* data() const { return memory_.get(); }

   private:
    struct free_memory {
      void operator()(unsigned char* memory) const {
        ::operator delete (memory, std::align_val_t{alignment});
      }
    };
    std::unique_ptr<unsigned char, free_memory> memory_;
  };

  block_of_memory dynamic_;
  std::map<std::pair<std::string, int>, block_of_memory> variables_;
};

/// Runs one block at a time.
class executor {
 public:
  void run_block(dim3 size, std::size_t dynamic_bytes, const std::function<void()>& body) {
    begin(size, dynamic_bytes, body);
    start_.release();
    while (finished_ < count_) {
      bool progress = false;
      for (const unsigned turn : order_) {
        if (!resume_if_ready(*threads_[turn])) continue;
        progress = true;
        // Runs the whole warp as far as possible before the next one.
        if (current_settings().order == schedule::warp_by_warp) run_warp(threads_[turn]->warp);
        if (is_failing()) break;
      }
      if (failure_.empty() && at_barrier_ > 0 && at_barrier_ + finished_ == count_) {
        open_barrier();
        progress = true;
      }
      if (!progress && failure_.empty()) report_deadlock();
      if (is_failing()) unwind();
    }
    end_.acquire();
    if (!failure_.empty()) throw error(failure_);
  }

  int barrier(int predicate, place at) {
    leave_if_unwinding();
    thread& me = *current_;
    me.at = at;
    me.predicate = predicate;
    me.state = waiting::at_barrier;
    ++at_barrier_;
    ordering& order = barrier_orders_[barriers_ % 2];
    order.release();
    suspend();
    order.acquire();
    return barrier_count_;
  }

  const std::uint64_t* meet(warp_operation operation, unsigned mask, std::uint64_t published,
                            place at) {
    leave_if_unwinding();
    thread& me = *current_;
    me.at = at;
    if ((mask >> me.lane & 1U) == 0)
      throw error(message("the calling lane is not in its mask: ", text(me)));
    me.operation = operation;
    me.mask = mask;
    me.published = published;
    me.state = waiting::at_warp_operation;
    warp& mine = warps_[me.warp];
    mine.arrived |= 1U << me.lane;
    // __syncwarp is the only warp operation that orders memory.
    const bool orders = operation == warp_operation::synchronise;
    ordering& order = mine.synchronised[mine.meetings % 2];
    if (orders) order.release();
    try_meeting(me);
    suspend();
    if (orders) order.acquire();
    return mine.published;
  }

  const unsigned char* exchange(const void* handed, std::size_t bytes, place at) {
    if (bytes > exchange_bytes) throw error("too much for an exchange");
    thread& me = *current_;
    warp& mine = warps_[me.warp];
    // All lanes take part, so they agree on the number of meetings. A lane that arrives at the next
    // meeting writes to the other half while slower lanes still read this one.
    auto& slots = mine.exchanged[mine.meetings % 2];
    std::memcpy(slots[me.lane], handed, bytes);
    meet(warp_operation::exchange, ~0U, 0, at);
    return slots[0];
  }

  [[nodiscard]] thread& current() { return *current_; }
  shared_memory& shared() { return shared_; }
  statistics& numbers() { return numbers_; }

 private:
  void begin(dim3 size, std::size_t dynamic_bytes, const std::function<void()>& body) {
    const std::uint64_t wanted = std::uint64_t{size.x} * size.y * size.z;
    if (wanted == 0 || wanted > most_threads) {
      throw error(message("a block of ", wanted, " threads, wanted 1 to 1024"));
    }
    count_ = static_cast<unsigned>(wanted);
    if (stack_bytes_ != current_settings().stack_bytes) threads_.clear();
    stack_bytes_ = current_settings().stack_bytes;
    while (threads_.size() < count_) {
      threads_.push_back(std::make_unique<thread>());
      threads_.back()->flow = std::make_unique<fiber>(stack_bytes_);
    }
    warps_.assign((count_ + lanes - 1) / lanes, {});
    order_ = schedule_of(count_, blockIdx.x + 31 * blockIdx.y);
    shared_.begin_block(dynamic_bytes);
    body_ = &body;
    failure_.clear();
    unwinding_ = false;
    finished_ = at_barrier_ = 0;
    for (unsigned i = 0; i < count_; ++i) {
      thread& x = *threads_[i];
      x.index = {i % size.x, i / size.x % size.y, i / (size.x * size.y)};
      x.lane = i % lanes;
      x.warp = i / lanes;
      x.state = waiting::no;
      x.at = {};
      x.copies.clear();
      warps_[x.warp].alive |= 1U << x.lane;
      x.flow->restart(run_thread);
    }
    numbers_.threads += count_;
  }

 public:
  static std::vector<unsigned> schedule_of(unsigned count, unsigned salt) {
    std::vector<unsigned> order(count);
    std::iota(order.begin(), order.end(), 0U);
    const settings& how = current_settings();
    if (how.order == schedule::reverse || how.order == schedule::warp_by_warp)
      std::reverse(order.begin(), order.end());
    if (how.order == schedule::shuffled) {
      std::mt19937 generator(how.seed + 7919U * salt);
      std::shuffle(order.begin(), order.end(), generator);
    }
    return order;
  }

 private:
  static void run_thread();

  [[nodiscard]] bool is_failing() const { return !failure_.empty() && !unwinding_; }

  /// False if x is waiting or has finished.
  bool resume_if_ready(thread& x) {
    if (x.state != waiting::no) return false;
    resume(x);
    return true;
  }

  void run_warp(unsigned number) {
    const unsigned first = number * lanes;
    for (bool progress = true; progress && !is_failing();) {
      progress = false;
      for (unsigned i = first; i < std::min(first + lanes, count_) && !is_failing(); ++i)
        progress = resume_if_ready(*threads_[i]) || progress;
    }
  }

  void resume(thread& x) {
    current_ = &x;
    threadIdx = x.index;
    fiber::switch_from_to(scheduler_, *x.flow);
  }

  void suspend() {
    fiber::switch_from_to(*current_->flow, scheduler_);
    leave_if_unwinding();
  }

  void leave_if_unwinding() const {
    if (unwinding_) throw error("unwound");
  }

  /// The running thread has returned from the kernel or thrown.
  void finish() {
    thread& me = *current_;
    me.state = waiting::finished;
    ++finished_;
    warp& mine = warps_[me.warp];
    mine.alive &= ~(1U << me.lane);
    // Lanes that wait for this lane wait forever, since a mask must not name lanes that have left.
    for (unsigned lane = 0; lane < lanes && failure_.empty() && !unwinding_; ++lane) {
      if ((mine.arrived >> lane & 1U) == 0) continue;
      const thread& waiting_lane = *threads_[me.warp * lanes + lane];
      if ((waiting_lane.mask >> me.lane & 1U) != 0) report_absent_lane(waiting_lane);
    }
  }

  /// Resumes the lanes of x's mask if all have arrived.
  void try_meeting(const thread& x) {
    warp& mine = warps_[x.warp];
    if ((x.mask & ~mine.alive) != 0) {
      report_absent_lane(x);
      return;
    }
    if ((x.mask & ~mine.arrived) != 0) return;
    for_each_lane(x, [&](const thread& y) {
      if (y.mask != x.mask || y.operation != x.operation || y.at.line != x.at.line) {
        failure_ =
            message("lanes of a warp meet in different operations: ", text(x), " and ", text(y));
      }
    });
    if (!failure_.empty()) return;
    for_each_lane(x, [&](thread& y) {
      mine.published[y.lane] = y.published;
      y.state = waiting::no;
    });
    mine.arrived &= ~x.mask;
    ++mine.meetings;
    ++numbers_.warp_operations;
  }

  template <class Visit>
  void for_each_lane(const thread& x, const Visit& visit) {
    for (unsigned lane = 0; lane < lanes; ++lane) {
      if ((x.mask >> lane & 1U) != 0) visit(*threads_[x.warp * lanes + lane]);
    }
  }

  void open_barrier() {
    const thread* first = nullptr;
    const thread* gone = nullptr;
    barrier_count_ = 0;
    for (unsigned i = 0; i < count_; ++i) {
      thread& x = *threads_[i];
      if (x.state == waiting::finished) {
        gone = &x;
        continue;
      }
      if (first == nullptr) first = &x;
      if (x.at.line != first->at.line) {
        failure_ = message("threads wait at different barriers: ", text(*first), " and ", text(x));
      }
      barrier_count_ += x.predicate != 0 ? 1 : 0;
    }
    if (gone != nullptr) {
      failure_ = message("a barrier that part of the block never reaches: ", text(*first), ", but ",
                         text(*gone));
    }
    if (!failure_.empty()) return;
    for (unsigned i = 0; i < count_; ++i) threads_[i]->state = waiting::no;
    at_barrier_ = 0;
    ++barriers_;
    ++numbers_.block_barriers;
  }

  void report_absent_lane(const thread& x) {
    failure_ = message("a mask names lanes that have left the kernel or never were: ", text(x));
  }

  void report_deadlock() {
    failure_ = "deadlock:";
    place last = {"", -1};
    for (unsigned i = 0; i < count_; ++i) {
      const thread& x = *threads_[i];
      if (x.state == waiting::finished || x.at.line == last.line) continue;
      failure_ += message(" ", text(x), ";");
      last = x.at;
    }
  }

  /// Makes every thread throw at the place where it waits, so that its destructors run.
  void unwind() {
    unwinding_ = true;
    for (unsigned i = 0; i < count_; ++i) {
      if (threads_[i]->state != waiting::finished) threads_[i]->state = waiting::no;
    }
  }

  static std::string text(const thread& x) {
    const std::string who = message("thread (", x.index.x, ", ", x.index.y, ", ", x.index.z, ")");
    if (x.state == waiting::finished) return message(who, " has left the kernel");
    return message(who, " at ", x.at.file, ":", x.at.line);
  }

  fiber scheduler_;
  std::vector<std::unique_ptr<thread>> threads_;
  std::vector<warp> warps_;
  std::vector<unsigned> order_;
  shared_memory shared_;
  statistics numbers_;
  const std::function<void()>* body_ = nullptr;
  thread* current_ = nullptr;
  std::string failure_;
  bool unwinding_ = false;
  std::size_t stack_bytes_ = 0;
  unsigned count_ = 0;
  unsigned finished_ = 0;
  unsigned at_barrier_ = 0;
  unsigned barriers_ = 0;
  int barrier_count_ = 0;
  ordering start_;
  ordering end_;
  ordering barrier_orders_[2];
};

executor& the_executor() {
  // Never destroyed, because TSan would report its destruction at program exit as a race with the
  // last threads.
  static executor& one = *new executor;
  return one;
}

// It never returns: it switches away for the last time. TSan counts calls and returns of functions
// that it instruments; every block would leave a call on the fiber's stack, and TSan would store
// ever longer stacks.
SIMT_UNSEEN_BY_TSAN void executor::run_thread() {
  fiber::entered();
  executor* self = nullptr;
  const std::function<void()>* body = nullptr;
  fiber* mine = nullptr;
  {
    const bookkeeping quiet;
    self = &the_executor();
    body = self->body_;
    mine = self->current_->flow.get();
    self->start_.acquire();
  }
  {
    std::string thrown;
    try {
      (*body)();
    } catch (const error& problem) {
      thrown = problem.what();
    }
    const bookkeeping quiet;
    self->end_.release();
    if (self->failure_.empty()) self->failure_ = thrown;
    self->finish();
  }
  fiber::switch_from_to(*mine, self->scheduler_, true);
}

}  // namespace

settings& current_settings() {
  static settings current;
  return current;
}

const statistics& current_statistics() { return the_executor().numbers(); }

void run_grid(dim3 grid, dim3 block, std::size_t dynamic_shared_bytes,
              const std::function<void()>& thread) {
  const bookkeeping quiet;
  const device_memory_access access;
  executor& runner = the_executor();
  ++runner.numbers().launches;
  gridDim = grid;
  blockDim = block;
  const std::uint64_t blocks = std::uint64_t{grid.x} * grid.y * grid.z;
  if (blocks == 0 || blocks > 0x7FFFFFFFU) {
    throw error(message("a grid of ", blocks, " blocks, wanted 1 to 2^31 - 1"));
  }
  for (const unsigned at : executor::schedule_of(static_cast<unsigned>(blocks), 0)) {
    blockIdx = {at % grid.x, at / grid.x % grid.y, at / (grid.x * grid.y)};
    runner.run_block(block, dynamic_shared_bytes, thread);
  }
}

int block_barrier(int predicate, place at) {
  const bookkeeping quiet;
  return the_executor().barrier(predicate, at);
}

const std::uint64_t* warp_meeting(warp_operation operation, unsigned mask, std::uint64_t published,
                                  place at) {
  const bookkeeping quiet;
  return the_executor().meet(operation, mask, published, at);
}

const unsigned char* warp_exchange(const void* mine, std::size_t bytes, place at) {
  const bookkeeping quiet;
  return the_executor().exchange(mine, bytes, at);
}

void begin_copy(void* to, const void* from, std::size_t bytes) {
  const noted_copy copy = {to, from, bytes};
  {
    const bookkeeping quiet;
    ++the_executor().numbers().asynchronous_copies;
    if (current_settings().copies == copy_time::as_late_as_possible) {
      the_executor().current().copies.note(copy);
      return;
    }
  }
  copy.carry_out();
}

void commit_copies() {
  const bookkeeping quiet;
  the_executor().current().copies.commit();
}

void wait_for_copies(int pending) {
  std::vector<noted_copy> copies;
  {
    const bookkeeping quiet;
    copies = the_executor().current().copies.due(pending);
  }
  // These are the kernel's own accesses, so TSan must see them.
  for (const noted_copy& copy : copies) copy.carry_out();
}

int current_lane() {
  const bookkeeping quiet;
  return static_cast<int>(the_executor().current().lane);
}

void* dynamic_shared_memory() {
  const bookkeeping quiet;
  return the_executor().shared().dynamic();
}

void* static_shared_memory(std::size_t bytes, std::size_t alignment, place at) {
  const bookkeeping quiet;
  return the_executor().shared().variable(bytes, alignment, at);
}

}  // namespace simt
