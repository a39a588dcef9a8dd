// The interface between a benchmark and a peer's library. Peers are loaded at run time, each with
// its own BLAS, which the other peers do not see. No peer's header is included here.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/inputs.hpp"

namespace bench {

/// A workload's inputs. `operation` defines their number and what is computed from them.
struct problem {
  std::string operation = {};
  std::vector<matrix> inputs = {};
  double temperature = 0.1;
  int threads = 2;
};

/// The results; an operation fills only those that it has.
struct answer {
  double loss = 0;
  std::vector<matrix> gradients = {};
  std::vector<index_t> neighbours = {};
  /// For random operations, whose draws differ between libraries: the mean and the root mean square
  /// of output − input.
  std::vector<double> moments = {};
};

/// One implementation of a workload, with its own copies of the inputs.
class contestant {
 public:
  contestant() = default;
  contestant(const contestant&) = delete;
  contestant& operator=(const contestant&) = delete;
  virtual ~contestant() = default;

  /// The timed part.
  virtual void run() = 0;
  /// Restores inputs that a run changed; not timed.
  virtual void reset() {}
  /// The results of the last run.
  virtual answer result() = 0;
  /// Bytes of results that a run allocates and keeps.
  virtual double output_bytes() { return 0; }
};

struct peer {
  std::string_view name;
  std::string version;
  bool (*has)(std::string_view operation);
  /// Creates a contestant; the peer must have the operation.
  std::unique_ptr<contestant> (*enter)(const problem&);
};

/// The only function that a peer's library exports.
using peer_entry = const peer*();
inline constexpr const char* peer_entry_name = "feaug_bench_peer";

}  // namespace bench
