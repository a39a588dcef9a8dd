// What a benchmark and a peer's library say to each other. Peers are loaded when a program runs,
// each with its own BLAS and out of the others' sight; no peer's header is seen here.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/inputs.hpp"

namespace bench {

/// A workload's inputs. `operation` says what is to be done with them, and how many there are.
struct problem {
  std::string operation = {};
  std::vector<matrix> inputs = {};
  double temperature = 0.1;
  int threads = 2;
};

/// What was computed, as far as the operation has it.
struct answer {
  double loss = 0;
  std::vector<matrix> gradients = {};
  std::vector<index_t> neighbours = {};
  /// Of random operations, which draw otherwise in each library: the mean and the root mean square
  /// of output − input.
  std::vector<double> moments = {};
};

/// Somebody who does a workload, on copies of its inputs.
class contestant {
 public:
  contestant() = default;
  contestant(const contestant&) = delete;
  contestant& operator=(const contestant&) = delete;
  virtual ~contestant() = default;

  /// What is timed.
  virtual void run() = 0;
  /// Undoes what a run changed in its inputs; not timed.
  virtual void reset() {}
  /// Of the last run.
  virtual answer result() = 0;
  /// Bytes of its own that a run leaves behind as results.
  virtual double output_bytes() { return 0; }
};

struct peer {
  std::string_view name;
  std::string version;
  bool (*has)(std::string_view operation);
  /// For an operation that it has.
  std::unique_ptr<contestant> (*enter)(const problem&);
};

/// The one function that a peer's library shows.
using peer_entry = const peer*();
inline constexpr const char* peer_entry_name = "feaug_bench_peer";

}  // namespace bench
