// A workload for feaug and every available peer: results are checked against each other, then
// timed.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/own.hpp"
#include "support/peer.hpp"

namespace bench {

/// Settings from the command line.
struct settings {
  int threads = 2;     ///< of every contestant
  bool small = false;  ///< tiny shapes, for a smoke test; their times are meaningless
  bool peers = true;
  bool series = false;  ///< a series of growing shapes instead of the named shape
};
settings& chosen();

inline index_t size(index_t full) {
  return chosen().small ? std::max<index_t>(full / 64, 4) : full;
}

/// Allowed relative differences between contestants: gradients by norm, losses by size, moments
/// relative to the second moment.
struct tolerance {
  double gradients = 1e-4;
  double losses = 1e-5;
  double moments = 2e-3;
};

struct workload {
  std::string name = {};       ///< W1, W3/search …
  std::string operation = {};  ///< the operation's name for peers
  std::function<std::vector<matrix>()> inputs = [] { return std::vector<matrix>(); };
  /// feaug's contestant; empty if only peers have the operation.
  std::function<std::unique_ptr<own>(const problem&)> enter = {};
  /// Least possible work: multiplications and additions in fp32, or bytes moved. Used for the share
  /// of the machine's ceiling.
  double flops = 0;
  double bytes = 0;
  bench::tolerance tolerance = {};
};

template <class Own>
std::unique_ptr<own> enter(const problem& on) {
  return std::make_unique<Own>(on);
}

/// Without --series: registers NAME/feaug, and NAME/PEER for every peer that has the operation.
void add(const workload& work);

/// Only with --series: registers `work(n)` for n = 1024, 2048 … `last` as NAME/n/…, run once each.
/// It stops when a contestant needs more than 3 s for the previous n.
void add_series(const std::function<workload(index_t)>& work, index_t last);

/// Prints one line per workload: every contestant's fastest call, and its ratio to feaug's.
void print_summary();

/// Whether a result was refused; the program then fails.
bool any_refused();

/// Registers the program's benchmarks; each program defines it.
void register_benchmarks();

}  // namespace bench
