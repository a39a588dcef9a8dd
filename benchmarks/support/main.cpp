// main of the benchmarks: Google Benchmark's, with --threads N, --small, --series and --no-peers,
// and a line of ratios per workload.
#include <benchmark/benchmark.h>

#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "support/contest.hpp"
#include "support/peers.hpp"

namespace {

/// Removes our own options from the command line; false if one of them is invalid.
bool read_settings(std::vector<char*>& words) {
  std::vector<char*> others;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (word == "--small") {
      bench::chosen().small = true;
    } else if (word == "--series") {
      bench::chosen().series = true;
    } else if (word == "--no-peers") {
      bench::chosen().peers = false;
    } else if (word == "--threads" && i + 1 < words.size()) {
      const std::string_view number = words[++i];
      std::from_chars(number.data(), number.data() + number.size(), bench::chosen().threads);
      if (bench::chosen().threads < 1) return false;
    } else {
      others.push_back(words[i]);
    }
  }
  words = others;
  return true;
}

}  // namespace

int main(int count, char** given) {
  std::vector<char*> words(given, given + count);
  if (!read_settings(words)) {
    std::fputs("--threads wants a number of at least 1\n", stderr);
    return 2;
  }
  // Repetitions of all contestants are interleaved, so that a disturbance affects all of them. A
  // series runs in order of size.
  const bool once = bench::chosen().small || bench::chosen().series;
  std::string order = std::string("--benchmark_enable_random_interleaving=") +
                      (bench::chosen().series ? "false" : "true");
  std::string repetitions = std::string("--benchmark_repetitions=") + (once ? "1" : "5");
  words.insert(words.begin() + 1, {order.data(), repetitions.data()});
  int kept = static_cast<int>(words.size());
  benchmark::Initialize(&kept, words.data());
  if (benchmark::ReportUnrecognizedArguments(kept, words.data())) return 2;
  benchmark::AddCustomContext("threads", std::to_string(bench::chosen().threads));
  for (const bench::peer* peer : bench::peers())
    benchmark::AddCustomContext(std::string(peer->name), peer->version);
  bench::register_benchmarks();
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  bench::print_summary();
  return bench::any_refused() ? 1 : 0;
}
