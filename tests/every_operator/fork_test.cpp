// A child process of fork() inherits a context whose threads exist only in the parent.
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <memory>

#include "feaug/feaug.hpp"
#include "support/every_call.hpp"
#include "support/host_call_arrays.hpp"

namespace fork_test {
namespace {

/// Runs `work` in a child process. Returns its exit status, or −1 if it hangs for 20 seconds.
template <class Work>
int status_of_child(const Work& work) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(20);  // kills the child
    _exit(work());
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace

TEST_CASE("a child process can use and destroy a context of its parent", "[context][fork]") {
  every_call::host_call_arrays memory(130, 17);
  const auto arrays = memory.arrays();
  auto ctx = std::make_unique<feaug::cpu_context>();
  ctx->threads = 3;
  const auto calls = every_call::all_calls<feaug::cpu_context>();
  const auto run_all = [&] {
    memory.reset();
    for (const auto& call : calls) call.run(*ctx, arrays);
    return memory.hash();
  };
  const auto in_parent = run_all();
  CHECK(status_of_child([&] {
          ctx.reset();
          return 0;
        }) == 0);
  CHECK(status_of_child([&] {
          const bool same = run_all() == in_parent;
          const bool again = run_all() == in_parent;
          ctx.reset();
          return same && again ? 0 : 1;
        }) == 0);
  CHECK(run_all() == in_parent);  // the parent's threads still work
}

}  // namespace fork_test
