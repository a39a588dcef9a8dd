#include "sweep_table.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <utility>

namespace trainer {
namespace {

/// Mean ± standard error of the mean, in per cent.
std::string with_error(const std::vector<double>& values) {
  const auto count = static_cast<double>(values.size());
  if (values.empty()) return "";
  double mean = 0;
  for (const double value : values) mean += value / count;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  char text[64];
  if (values.size() < 2) {
    std::snprintf(text, sizeof(text), "%.2f", 100 * mean);
  } else {
    std::snprintf(text, sizeof(text), "%.2f ± %.2f", 100 * mean,
                  100 * std::sqrt(squares / (count - 1) / count));
  }
  return text;
}

struct row {
  nlohmann::json settings;                        // without the seed
  std::map<std::string, const run_result*> runs;  // by seed
};

std::vector<row> rows_of(const std::vector<const run_result*>& runs) {
  std::vector<row> rows;
  for (const run_result* run : runs) {
    nlohmann::json settings = run->settings;
    const std::string seed = value_text(settings.at("seed"));
    settings.erase("seed");
    row* own = nullptr;
    for (row& one : rows) {
      if (one.settings == settings) own = &one;
    }
    if (own == nullptr) own = &rows.emplace_back(row{.settings = std::move(settings), .runs = {}});
    own->runs[seed] = run;
  }
  return rows;
}

template <class Number>
std::string column(const row& of, const Number& number) {
  std::vector<double> values;
  for (const auto& [seed, run] : of.runs) values.push_back(number(*run));
  return with_error(values);
}

/// The difference in final linear accuracy to `first`, over runs with equal seeds.
std::string difference(const row& of, const row& first) {
  std::vector<double> values;
  for (const auto& [seed, run] : of.runs) {
    const auto other = first.runs.find(seed);
    if (other != first.runs.end())
      values.push_back(run->after.linear - other->second->after.linear);
  }
  const std::string text = with_error(values);
  return text.empty() || text.starts_with('-') ? text : "+" + text;
}

}  // namespace

std::string value_text(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

std::vector<std::string> varied_options(const std::vector<const nlohmann::json*>& settings,
                                        const std::vector<std::string>& names) {
  std::vector<std::string> varied;
  for (const std::string& name : names) {
    const auto differs = [&](const nlohmann::json* one) {
      return one->contains(name) && one->at(name) != settings.front()->at(name);
    };
    if (name != "seed" && std::any_of(settings.begin(), settings.end(), differs))
      varied.push_back(name);
  }
  return varied;
}

std::string sweep_table(const std::vector<const run_result*>& runs,
                        const std::vector<std::string>& names) {
  const std::vector<row> rows = rows_of(runs);
  std::vector<const nlohmann::json*> settings;
  settings.reserve(rows.size());
  for (const row& one : rows) settings.push_back(&one.settings);
  const std::vector<std::string> varied = varied_options(settings, names);
  const bool compares = rows.size() > 1;
  std::string table = "|";
  std::string line = "|";
  const auto add_heading = [&](const std::string& name) {
    table += " " + name + " |";
    line += "---|";
  };
  for (const std::string& name : varied) add_heading("--" + name);
  for (const char* name : {"seeds", "untrained: linear probe, %", "trained: linear probe, %",
                           "trained: 20 nearest neighbours, %"})
    add_heading(name);
  if (compares) add_heading("linear probe against the first row");
  table += "\n" + line + "\n";
  for (const row& one : rows) {
    table += "|";
    const auto add = [&](const std::string& text) { table += " " + text + " |"; };
    for (const std::string& name : varied) add(value_text(one.settings.at(name)));
    add(std::to_string(one.runs.size()));
    add(column(one, [](const run_result& run) { return run.before.linear; }));
    add(column(one, [](const run_result& run) { return run.after.linear; }));
    add(column(one, [](const run_result& run) { return run.after.knn; }));
    if (compares) add(&one == rows.data() ? "" : difference(one, rows.front()));
    table += "\n";
  }
  return table;
}

}  // namespace trainer
