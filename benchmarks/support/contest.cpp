// Runs a workload with feaug and each available peer: compares their results, then times them.
#include "support/contest.hpp"

#include <benchmark/benchmark.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <limits>
#include <map>
#include <stdexcept>
#include <thread>
#include <utility>

#include "support/memory.hpp"
#include "support/peers.hpp"
#include "support/verdict.hpp"

namespace bench {
namespace {

using clock = std::chrono::steady_clock;

constexpr double never = std::numeric_limits<double>::infinity();
constexpr double series_seconds = 3;

/// Threads of another contestant's pool spin for some time before they sleep.
constexpr std::chrono::milliseconds until_pools_sleep{50};

/// One contestant of a workload, and its results.
struct participant {
  std::unique_ptr<contestant> who = {};
  std::string complaint = {};
  double seconds = never;
  double extra_bytes = 0;
};

std::string compare(const answer& got, const answer& want, const tolerance& allowed) {
  verdict is;
  if (got.gradients.size() != want.gradients.size() || got.moments.size() != want.moments.size())
    is.close("the number of results", HUGE_VAL, 0);
  for (std::size_t i = 0; i < std::min(got.moments.size(), want.moments.size()); ++i)
    is.close("a moment", std::abs(got.moments[i] - want.moments[i]) / want.moments.back(),
             allowed.moments);
  for (std::size_t i = 0; i < std::min(got.gradients.size(), want.gradients.size()); ++i) {
    is.close("a gradient", relative_error(got.gradients[i].values, want.gradients[i].values),
             allowed.gradients);
  }
  if (want.loss != 0 || got.loss != 0) is.loss(got.loss, want.loss, allowed.losses);
  is.close("the neighbours", got.neighbours == want.neighbours ? 0 : 1, 0);
  return is.complaint();
}

/// The contestants of one workload, created when the first of them is run.
class contest {
 public:
  explicit contest(workload work) : work_(std::move(work)) {}

  [[nodiscard]] const workload& work() const { return work_; }
  [[nodiscard]] const std::map<std::string, participant>& participants() const {
    return participants_;
  }
  /// The largest of the contestants' fastest times; infinite if the contest was skipped.
  [[nodiscard]] double slowest() const {
    if (!skipped_.empty()) return never;
    double seconds = 0;
    for (const auto& [name, one] : participants_)
      if (one.seconds < never) seconds = std::max(seconds, one.seconds);
    return seconds;
  }
  void skip(const std::string& why) { skipped_ = why; }
  void release() {
    for (auto& [name, one] : participants_) one.who.reset();
  }

  void time(benchmark::State& state, const std::string& name) {
    if (!skipped_.empty()) return state.SkipWithError(skipped_.c_str());
    prepare();
    participant& one = participants_.at(name);
    if (!one.complaint.empty()) throw std::runtime_error(one.complaint);
    std::this_thread::sleep_for(until_pools_sleep);
    double fastest = never;
    for (auto _ : state) {
      one.who->reset();
      const auto begin = clock::now();
      one.who->run();
      const double seconds = std::chrono::duration<double>(clock::now() - begin).count();
      state.SetIterationTime(seconds);
      fastest = std::min(fastest, seconds);
    }
    one.seconds = std::min(one.seconds, fastest);
    state.counters["fastest_seconds"] = one.seconds;
    state.counters["extra_bytes"] = one.extra_bytes;
    if (work_.flops > 0) state.counters["flops"] = work_.flops;
    if (work_.bytes > 0) state.counters["bytes"] = work_.bytes;
  }

 private:
  /// Every contestant runs once and is compared with feaug. If a peer disagrees, neither it nor
  /// feaug is timed.
  void prepare() {
    if (!participants_.empty()) return;
    const problem on = {
        .operation = work_.operation, .inputs = work_.inputs(), .threads = chosen().threads};
    const own* ours = nullptr;
    if (work_.enter) {
      auto made = work_.enter(on);
      ours = made.get();
      participants_["feaug"].who = std::move(made);
    }
    for (const peer* one : peers()) {
      if (one->has(on.operation)) participants_[std::string(one->name)].who = one->enter(on);
    }
    std::map<std::string, answer> answers;
    for (auto& [name, one] : participants_) {
      one.who->run();
      answers[name] = one.who->result();
    }
    for (auto& [name, one] : participants_) {
      if (ours == nullptr) break;
      one.complaint = compare(answers[name], answers["feaug"], work_.tolerance);
      if (!one.complaint.empty())
        participants_["feaug"].complaint = one.complaint + " between feaug and " + name;
    }
    for (auto& [name, one] : participants_) {
      if (name == "feaug") {
        one.extra_bytes = ours->scratch_bytes();
      } else {
        one.who->reset();
        const double growth = peak_growth([&one = one] { one.who->run(); });
        one.extra_bytes = std::max(growth - one.who->output_bytes(), 0.0);
      }
    }
  }

  workload work_;
  std::string skipped_ = {};
  std::map<std::string, participant> participants_ = {};
};

bool is_refused = false;

std::vector<std::shared_ptr<contest>>& contests() {
  static std::vector<std::shared_ptr<contest>> all;
  return all;
}

template <class Run>
benchmark::internal::Benchmark* register_run(const std::string& name, const Run& run) {
  const auto guarded = [run](benchmark::State& state) {
    try {
      run(state);
    } catch (const std::exception& problem) {
      is_refused = true;
      state.SkipWithError(problem.what());
    }
  };
  return benchmark::RegisterBenchmark(name.c_str(), guarded)
      ->UseManualTime()
      ->MinTime(0.1)
      ->Unit(benchmark::kMillisecond);
}

/// Calls see(name) for feaug and every peer that has the operation.
template <class See>
void for_each_contestant(const workload& work, const See& see) {
  if (work.enter) see(std::string("feaug"));
  for (const peer* one : peers())
    if (one->has(work.operation)) see(std::string(one->name));
}

}  // namespace

settings& chosen() {
  static settings ours;
  return ours;
}

void add(const workload& work) {
  if (chosen().series) return;
  const auto held = contests().emplace_back(std::make_shared<contest>(work));
  for_each_contestant(work, [&](const std::string& name) {
    register_run(work.name + "/" + name,
                 [held, name](benchmark::State& state) { held->time(state, name); });
  });
}

void add_series(const std::function<workload(index_t)>& work, index_t last) {
  if (!chosen().series) return;
  std::shared_ptr<contest> before;
  for (index_t n = 1024; n <= last; n *= 2) {
    workload one = work(n);
    one.name.append("/").append(std::to_string(n));
    const auto held = contests().emplace_back(std::make_shared<contest>(one));
    for_each_contestant(one, [&](const std::string& name) {
      register_run(one.name + "/" + name, [held, before, name](benchmark::State& state) {
        if (before) {
          before->release();
          if (before->slowest() > series_seconds) held->skip("too long for a series");
        }
        held->time(state, name);
      })->Repetitions(1);
    });
    before = held;
  }
}

void print_summary() {
  for (const auto& held : contests()) {
    std::string line;
    const auto& all = held->participants();
    const auto ours = all.find("feaug");
    const double mine = ours == all.end() ? never : ours->second.seconds;
    for (const auto& [name, one] : all) {
      if (one.seconds == never) continue;
      char text[128];
      std::snprintf(text, sizeof text, "  %s %.3f ms", name.c_str(), one.seconds * 1e3);
      line += text;
      if (name != "feaug" && mine < never) {
        std::snprintf(text, sizeof text, " (%.2fx)", one.seconds / mine);
        line += text;
      }
    }
    if (!line.empty()) std::printf("%s:%s\n", held->work().name.c_str(), line.c_str());
  }
}

bool any_refused() { return is_refused; }

}  // namespace bench
