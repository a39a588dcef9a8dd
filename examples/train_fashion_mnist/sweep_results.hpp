// A sweep's file: one line of JSON for every run that has ended.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "accuracies.hpp"

namespace trainer {

struct run_result {
  nlohmann::json settings;  ///< those that numbers depend on
  accuracies before = {};
  accuracies after = {};
  double loss = 0;                 ///< mean over the last epoch
  double neighbour_accuracy = -1;  ///< likewise; −1 without a queue
  double seconds = 0;
};

class sweep_results {
 public:
  /// Reads what the file has, if there is one. A last line that a killed sweep left unfinished is
  /// cut off. Throws user_error for any other line that is no result.
  explicit sweep_results(std::string path);

  /// The result for these settings; nullptr if there is none yet.
  [[nodiscard]] const run_result* find(const nlohmann::json& settings) const;

  /// Adds a line, which is on the disk when this returns.
  void append(const run_result& result);

 private:
  std::string path_;
  std::vector<run_result> all_;
};

}  // namespace trainer
