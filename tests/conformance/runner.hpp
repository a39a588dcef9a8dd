// Runs case files and reports the results.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <ostream>
#include <string>
#include <utility>

#include "backends.hpp"
#include "support/operators/registry.hpp"

namespace conformance {

class runner {
 public:
  runner(registry operators, dtype type, std::ostream& out)
      : operators_(std::move(operators)), type_(type), out_(out) {}

  /// Prints a line for each failed case; an invalid file counts as one failure.
  void run_file(const std::string& path);

  /// Prints one line per operator, then "P passed, F failed". True if nothing failed.
  bool report();

 private:
  struct tally {
    int passed = 0;
    int failed = 0;
    double largest_share = 0;
  };

  void run_case(const std::string& op, const nlohmann::json& json);
  void fail(const std::string& where, const std::string& why);

  registry operators_;
  dtype type_;
  std::ostream& out_;
  std::map<std::string, tally> tallies_;
  int bad_files_ = 0;
};

}  // namespace conformance
