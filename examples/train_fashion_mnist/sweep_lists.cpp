#include "sweep_lists.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "user_error.hpp"

namespace trainer {
namespace {

constexpr std::string_view sweep_option = "--sweep";

struct option_list {
  std::string name;
  std::vector<std::string> values;
};

bool is_option(const std::string& word) { return word.size() > 2 && word.starts_with("--"); }

/// Parses --name value … and --name=value …; values of a repeated option form one list.
std::vector<option_list> lists_of(int count, char** words) {
  std::vector<option_list> lists;
  const auto list_of = [&](const std::string& name) -> option_list& {
    for (option_list& list : lists) {
      if (list.name == name) return list;
    }
    return lists.emplace_back(option_list{.name = name, .values = {}});
  };
  option_list* current = nullptr;
  for (int i = 1; i < count; ++i) {
    const std::string word = words[i];
    if (is_option(word)) {
      const std::size_t equals = word.find('=');
      current = &list_of(word.substr(0, equals));
      if (equals != std::string::npos) current->values.push_back(word.substr(equals + 1));
    } else if (current != nullptr) {
      current->values.push_back(word);
    } else {
      throw user_error(word + ": an option was expected");
    }
  }
  return lists;
}

settings settings_of(const std::vector<std::string>& arguments) {
  std::vector<std::string> own = arguments;
  std::vector<char*> words;
  std::string program = "train_fashion_mnist";
  words.push_back(program.data());
  for (std::string& word : own) words.push_back(word.data());
  return read_settings(static_cast<int>(words.size()), words.data());
}

/// Adds every combination of the lists from `next` on, appended to `chosen`.
void combine(const std::vector<option_list>& lists, std::size_t next,
             std::vector<std::string>& chosen, sweep_lists& sweep) {
  if (next == lists.size()) {
    try {
      const settings run = settings_of(chosen);
      const auto same = [&](const settings& other) {
        return to_json(other, true) == to_json(run, true);
      };
      if (std::none_of(sweep.runs.begin(), sweep.runs.end(), same)) sweep.runs.push_back(run);
    } catch (const meaningless_combination& problem) {
      const std::string why = problem.what();
      if (std::find(sweep.left_out.begin(), sweep.left_out.end(), why) == sweep.left_out.end())
        sweep.left_out.push_back(why);
    }
    return;
  }
  const option_list& list = lists[next];
  chosen.push_back(list.name);
  if (list.values.empty()) combine(lists, next + 1, chosen, sweep);  // --help
  for (const std::string& value : list.values) {
    chosen.push_back(value);
    combine(lists, next + 1, chosen, sweep);
    chosen.pop_back();
  }
  chosen.pop_back();
}

}  // namespace

bool is_sweep(int count, char** words) {
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if (word == sweep_option || word.starts_with("--sweep=")) return true;
  }
  return false;
}

sweep_lists read_sweep(int count, char** words) {
  static const std::set<std::string_view> of_one_run = {"--json", "--checkpoint", "--resume",
                                                        "--plots", "--features"};
  sweep_lists sweep;
  std::vector<option_list> varied;
  for (const option_list& list : lists_of(count, words)) {
    if (list.name == sweep_option) {
      if (list.values.size() != 1) throw user_error("--sweep: wants one file for the results");
      sweep.file = list.values.front();
    } else if (of_one_run.contains(list.name)) {
      throw user_error(list.name + " with --sweep: a sweep's results go to its file");
    } else {
      varied.push_back(list);
      sweep.names.push_back(list.name.substr(2));
    }
  }
  std::vector<std::string> chosen;
  combine(varied, 0, chosen, sweep);
  if (sweep.runs.empty()) throw meaningless_combination(sweep.left_out.front());
  return sweep;
}

}  // namespace trainer
