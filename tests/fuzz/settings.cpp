// The command line of the trainer, with arbitrary words. It gives settings that are in range and
// that, written as a command line again, are read as the same settings; or it throws user_error.
#include "settings.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "fuzz/target.hpp"
#include "sweep_lists.hpp"

namespace {

class command_line {
 public:
  explicit command_line(std::vector<std::string> words) : words_(std::move(words)) {
    words_.insert(words_.begin(), "train_fashion_mnist");
    for (std::string& word : words_) pointers_.push_back(word.data());
  }
  [[nodiscard]] int count() const { return static_cast<int>(pointers_.size()); }
  [[nodiscard]] char** words() { return pointers_.data(); }

 private:
  std::vector<std::string> words_;
  std::vector<char*> pointers_;
};

trainer::settings read(const std::vector<std::string>& words) {
  command_line line(words);
  return trainer::read_settings(line.count(), line.words());
}

/// Names of all options: those of the settings' JSON.
const std::vector<std::string>& option_names() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> names;
    const nlohmann::json json = trainer::to_json({}, false);
    for (const auto& [name, value] : json.items()) names.push_back(name);
    return names;
  }();
  return all;
}

std::string chosen_value(fuzz::choices& choose) {
  switch (choose.between(0, 5)) {
    case 0:
      return choose.one_of<const char*>({"nnclr", "simclr", "moco", "byol", "simsiam",
                                         "barlow_twins", "vicreg", "swav", "mean_shift", "ressl"});
    case 1:
      return choose.one_of<const char*>({"none", "neighbour", "mask", "random_neighbour",
                                         "covariance_noise", "mask,noise", "interpolate,,mask",
                                         "soft_neighbour,slerp", ",", "mask,mask",
                                         "exchange_moments,extrapolate,mask,noise,slerp"});
    case 2:
      return choose.one_of<const char*>({"basic", "pre_predictor", "post_predictor",
                                         "parallel_predictor", "on", "off", "mean", "sum", "weak",
                                         "symmetric", "asymmetric", "validation", "test"});
    case 3:
      return std::to_string(choose.between(0, 70));
    case 4:
      return choose.one_of<const char*>({"0.5",
                                         "1",
                                         "-1",
                                         "1e400",
                                         "nan",
                                         "inf",
                                         "-inf",
                                         "1e-320",
                                         "0x10",
                                         "2.0000001",
                                         "1e3",
                                         "18446744073709551615",
                                         "18446744073709551616",
                                         "9223372036854775808",
                                         "-0",
                                         "+1",
                                         "",
                                         " ",
                                         "1 2",
                                         "--",
                                         "-",
                                         "--seed",
                                         "--queue=3",
                                         "@file",
                                         "{}"});
    default: {
      std::string any = choose.bytes(12);
      std::replace(any.begin(), any.end(), '\0', '0');  // a word ends there
      return any;
    }
  }
}

std::vector<std::string> chosen_words(fuzz::choices& choose) {
  std::vector<std::string> words;
  for (std::int64_t left = choose.between(0, 6); left > 0; --left) {
    const std::string name = "--" + choose.member_of(option_names());
    const std::string value = chosen_value(choose);
    if (choose.one_in(4)) {
      words.push_back(name + "=" + value);
    } else {
      if (!choose.one_in(16)) words.push_back(name);
      if (!choose.one_in(16)) words.push_back(value);
    }
  }
  return words;
}

/// Help ends the program.
bool asks_for_help(const std::vector<std::string>& words) {
  return std::any_of(words.begin(), words.end(), [](const std::string& word) {
    return word.starts_with("--help") || word.starts_with("-h");
  });
}

void check(const trainer::settings& all) {
  fuzz::require(all.batch >= 2 && all.batch <= all.train_size, "a batch that is out of range");
  fuzz::require(all.queue >= 0 && all.epochs >= 0 && all.samples >= 1 && all.accumulate >= 1,
                "a number that is out of range");
  for (const double number :
       {all.learning_rate, all.temperature, all.momentum, all.mask_keep, all.noise_scale,
        all.covariance_scale, all.interpolate_from, all.extrapolate_to, all.similarity_floor})
    fuzz::require(std::isfinite(number), "a number that is not finite");
  fuzz::require(!all.augmentations().empty(), "no augmentation, not even none");
  std::vector<std::string> again;
  const nlohmann::json json = trainer::to_json(all, true);
  for (const auto& [name, value] : json.items()) {
    again.push_back("--" + name);
    again.push_back(value.is_string() ? value.get<std::string>() : value.dump());
  }
  fuzz::require(trainer::to_json(read(again), true) == json,
                "the settings, written again, are read as others: " + json.dump());
}

}  // namespace

void fuzz::try_one(choices& choose) {
  const std::vector<std::string> words = chosen_words(choose);
  if (asks_for_help(words)) return;
  try {
    command_line line(words);
    if (!trainer::is_sweep(line.count(), line.words())) {
      check(read(words));
    }
  } catch (const trainer::user_error& refused) {
    require(std::string(refused.what()).size() > 3, "a message that says nothing");
  }
  // The same words as lists of values.
  std::vector<std::string> of_sweep = words;
  of_sweep.insert(of_sweep.begin(), {"--sweep", "results.jsonl"});
  try {
    command_line line(of_sweep);
    const trainer::sweep_lists sweep = trainer::read_sweep(line.count(), line.words());
    require(!sweep.runs.empty(), "a sweep without runs");
    for (const trainer::settings& one : sweep.runs) check(one);
  } catch (const trainer::user_error& refused) {
    require(std::string(refused.what()).size() > 3, "a message that says nothing");
  }
}
