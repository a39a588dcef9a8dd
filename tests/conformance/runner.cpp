#include "runner.hpp"

#include <algorithm>
#include <stdexcept>

#include "case_file.hpp"
#include "comparison.hpp"
#include "support/operators/arguments.hpp"
#include "support/operators/test_case.hpp"

namespace conformance {

void runner::fail(const std::string& where, const std::string& why) {
  out_ << "FAIL " << where << ": " << why << "\n";
}

void runner::run_file(const std::string& path) {
  try {
    const case_file file = read_case_file(path);
    for (const nlohmann::json& one : file.cases) run_case(file.op, one);
  } catch (const std::exception& problem) {
    ++bad_files_;
    fail(path, problem.what());
  }
}

void runner::run_case(const std::string& op, const nlohmann::json& json) {
  tally& count = tallies_[op];
  verdict judged;
  try {
    const test_case one = read_test_case(json);
    const auto function = operators_.find(op);
    if (function == operators_.end()) throw std::runtime_error("no operator " + op);
    arguments given(one);
    const results got = function->second(given);
    given.require_all_used();
    judged = compare(one, got, type_);
  } catch (const std::exception& problem) {
    judged.failures.emplace_back(problem.what());
  }
  for (const std::string& line : judged.failures) fail(op + " " + name_of(json), line);
  count.largest_share = std::max(count.largest_share, judged.largest_share);
  ++(judged.failures.empty() ? count.passed : count.failed);
}

bool runner::report() {
  int passed = 0;
  int failed = bad_files_;
  for (const auto& [op, count] : tallies_) {
    out_ << op << ": " << count.passed << " of " << count.passed + count.failed
         << " passed; largest error " << count.largest_share << " of its tolerance\n";
    passed += count.passed;
    failed += count.failed;
  }
  if (bad_files_ > 0) out_ << "files that could not be used: " << bad_files_ << "\n";
  out_ << passed << " passed, " << failed << " failed\n";
  out_.flush();
  return failed == 0;
}

}  // namespace conformance
