// A sweep's results as people read them: a row a setting, its seeds as mean ± standard error.
#pragma once

#include <string>
#include <vector>

#include "sweep_results.hpp"

namespace trainer {

/// A Markdown table. Runs that differ in the seed alone are one row; columns are the options of
/// `names` that vary, then accuracies in per cent. The last column compares with the first row,
/// seed by seed.
std::string sweep_table(const std::vector<const run_result*>& runs,
                        const std::vector<std::string>& names);

/// Those of the options named in which the settings differ, seeds not among them.
std::vector<std::string> varied_options(const std::vector<const nlohmann::json*>& settings,
                                        const std::vector<std::string>& names);

/// "byol" for a string, 0.2 for a number.
std::string value_text(const nlohmann::json& value);

}  // namespace trainer
