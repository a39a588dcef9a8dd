// A sweep's file: one line of JSON per finished run.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "accuracies.hpp"

namespace trainer {

struct run_result {
  nlohmann::json settings;  ///< only settings that affect results
  accuracies before = {};
  accuracies after = {};
  double loss = 0;  ///< mean over the last epoch
  /// For each epoch the mean over the updates with rows in the queue; −1 if there are none.
  std::vector<double> neighbour_accuracy = {};
  double seconds = 0;
};

class sweep_results {
 public:
  /// Reads the file, if it exists. An incomplete last line of an interrupted sweep is removed.
  /// Throws user_error if any other line is not a result.
  explicit sweep_results(std::string path);

  /// The result for these settings; nullptr if there is none yet.
  [[nodiscard]] const run_result* find(const nlohmann::json& settings) const;

  /// Appends a line; it is on the disk when this returns.
  void append(const run_result& result);

 private:
  std::string path_;
  std::vector<run_result> all_;
};

}  // namespace trainer
