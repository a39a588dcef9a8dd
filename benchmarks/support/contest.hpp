// A workload done by feaug and by every peer that is there: checked against each other, then timed.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/own.hpp"
#include "support/peer.hpp"

namespace bench {

/// What the command line says.
struct settings {
  int threads = 2;     ///< everybody's
  bool small = false;  ///< shapes that show that a program runs; their times mean nothing
  bool peers = true;
  bool series = false;  ///< growing shapes instead of the one that has the name
};
settings& chosen();

inline index_t size(index_t full) {
  return chosen().small ? std::max<index_t>(full / 64, 4) : full;
}

/// How far peers may be apart: gradients relative to their norm, losses to their size, moments to
/// the second.
struct tolerance {
  double gradients = 1e-4;
  double losses = 1e-5;
  double moments = 2e-3;
};

struct workload {
  std::string name = {};       ///< W1, W3/search …
  std::string operation = {};  ///< what peers call it
  std::function<std::vector<matrix>()> inputs = [] { return std::vector<matrix>(); };
  /// feaug's side; none where only peers have the operation.
  std::function<std::unique_ptr<own>(const problem&)> enter = {};
  /// What it takes at the least: multiplications and additions in fp32, or else bytes moved.
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

/// The same with --series, and only then, for `work(n)` with n = 1024, 2048 … `last` as NAME/n/…,
/// once each, as long as nobody takes more than 3 s for half of it.
void add_series(const std::function<workload(index_t)>& work, index_t last);

/// A line a workload: everybody's fastest call, and what it is to feaug's.
void print_summary();

/// Whether an answer was refused: then the program fails.
bool any_refused();

/// Registers what this program measures; each program has one.
void register_benchmarks();

}  // namespace bench
