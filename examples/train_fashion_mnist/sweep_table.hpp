// The Markdown table of a sweep: one row per setting, mean ± standard error over its seeds.
#pragma once

#include <string>
#include <vector>

#include "sweep_results.hpp"

namespace trainer {

/// A Markdown table. Runs that differ only in the seed form one row. Columns are the options of
/// `names` that vary, then accuracies in per cent. The last column compares with the first row,
/// seed by seed.
std::string sweep_table(const std::vector<const run_result*>& runs,
                        const std::vector<std::string>& names);

/// The options among `names` in which the settings differ, except the seed.
std::vector<std::string> varied_options(const std::vector<const nlohmann::json*>& settings,
                                        const std::vector<std::string>& names);

/// "byol" for a string, 0.2 for a number.
std::string value_text(const nlohmann::json& value);

}  // namespace trainer
