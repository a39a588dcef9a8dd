#include "sweep_results.hpp"

#include <filesystem>
#include <utility>

#include "files.hpp"
#include "user_error.hpp"

namespace trainer {
namespace {

nlohmann::json to_json(const run_result& result) {
  return {{"settings", result.settings},
          {"linear_accuracy_before", result.before.linear},
          {"linear_accuracy_after", result.after.linear},
          {"knn_accuracy_before", result.before.knn},
          {"knn_accuracy_after", result.after.knn},
          {"loss", result.loss},
          {"neighbour_accuracy", result.neighbour_accuracy},
          {"seconds", result.seconds}};
}

run_result from_json(const nlohmann::json& line) {
  return {.settings = line.at("settings"),
          .before = {.linear = line.at("linear_accuracy_before").get<double>(),
                     .knn = line.at("knn_accuracy_before").get<double>()},
          .after = {.linear = line.at("linear_accuracy_after").get<double>(),
                    .knn = line.at("knn_accuracy_after").get<double>()},
          .loss = line.at("loss").get<double>(),
          .neighbour_accuracy = line.at("neighbour_accuracy").get<std::vector<double>>(),
          .seconds = line.at("seconds").get<double>()};
}

}  // namespace

sweep_results::sweep_results(std::string path) : path_(std::move(path)) {
  if (!std::filesystem::exists(path_)) {
    require_writable(path_);
    return;
  }
  const std::string text = read_file(path_);
  std::size_t begin = 0;
  int number = 1;
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    try {
      all_.push_back(from_json(nlohmann::json::parse(text.substr(begin, end - begin))));
    } catch (const nlohmann::json::exception&) {
      throw user_error(path_ + ": line " + std::to_string(number) + " is not a sweep's result");
    }
    begin = end + 1;
    ++number;
  }
  if (begin == text.size()) return;
  // An incomplete last line: from an interrupted sweep, or the file has other contents.
  if (all_.empty()) throw user_error(path_ + ": not a sweep's results");
  write_atomically(path_, text.substr(0, begin));
}

const run_result* sweep_results::find(const nlohmann::json& settings) const {
  for (const run_result& one : all_) {
    if (one.settings == settings) return &one;
  }
  return nullptr;
}

void sweep_results::append(const run_result& result) {
  append_durably(path_, to_json(result).dump() + "\n");
  all_.push_back(result);
}

}  // namespace trainer
