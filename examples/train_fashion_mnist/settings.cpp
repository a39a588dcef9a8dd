#include "settings.hpp"

#include <CLI/CLI.hpp>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "user_error.hpp"

namespace trainer {
namespace {

const std::map<std::string, feature_augmentation> augmentation_names = {
    {"none", feature_augmentation::none},
    {"neighbour", feature_augmentation::neighbour},
    {"mask", feature_augmentation::mask},
    {"noise", feature_augmentation::noise},
    {"interpolate", feature_augmentation::interpolate},
    {"extrapolate", feature_augmentation::extrapolate},
};

void add_options(CLI::App& app, settings& all) {
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("--method", all.method, "what is trained")
      ->check(CLI::IsMember({"simclr", "nnclr", "moco", "byol", "simsiam"}))
      ->capture_default_str();
  app.add_option("--augmentation", all.augmentation,
                 "none, neighbour, mask, noise, interpolate, extrapolate; several, "
                 "comma-separated, are applied in turn "
                 "(default: neighbour for nnclr, else none)");
  app.add_option("--architecture", all.architecture,
                 "where augmentation and predictor sit (default: the method's own)")
      ->check(CLI::IsMember({"basic", "pre_predictor", "post_predictor", "parallel_predictor"}));
  app.add_option("--samples", all.samples, "augmented samples a feature")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app.add_option("--sample-reduction", all.sample_reduction, "mean or sum of the samples' losses")
      ->check(CLI::IsMember({"mean", "sum"}))
      ->capture_default_str();
  app.add_option("--stop-gradient", all.stop_gradient,
                 "on or off for the target side (default: off for simclr, else on)")
      ->check(CLI::IsMember({"on", "off"}));
  app.add_option("--data-augmentation", all.data_augmentation,
                 "both views alike, or one strong and one weak")
      ->check(CLI::IsMember({"symmetric", "asymmetric"}))
      ->capture_default_str();
  app.add_option("--queue", all.queue, "rows of the support queue; 0: none")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  app.add_option("--train-size", all.train_size, "training images used")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--batch", all.batch, "images an update")
      ->check(CLI::Range(2, 1 << 16))
      ->capture_default_str();
  app.add_option("--accumulate", all.accumulate, "micro-batches an update")
      ->check(CLI::Range(1, 1 << 12))
      ->capture_default_str();
  app.add_option("--epochs", all.epochs, "passes over the training images")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  app.add_option("--seed", all.seed, "of all that is random")->capture_default_str();
  app.add_option("--learning-rate", all.learning_rate, "of AdamW, at its peak")
      ->capture_default_str();
  app.add_option("--temperature", all.temperature, "of the contrastive losses")
      ->capture_default_str();
  app.add_option("--momentum", all.momentum, "of the target encoder, moco and byol")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--threads", all.threads, "0: all")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_option("--data", all.data, "folder with Fashion-MNIST's four idx files, .gz or not")
      ->capture_default_str();
  app.add_option("--json", all.json, "where the results go");
  app.add_option("--checkpoint", all.checkpoint, "written after every epoch and when interrupted");
  app.add_option("--resume", all.resume,
                 "a checkpoint to go on from, to the numbers of an uninterrupted run");
}

void fill_in(settings& all) {
  const std::map<std::string, std::string> architectures = {{"simclr", "basic"},
                                                            {"nnclr", "parallel_predictor"},
                                                            {"moco", "basic"},
                                                            {"byol", "parallel_predictor"},
                                                            {"simsiam", "parallel_predictor"}};
  if (all.architecture.empty()) all.architecture = architectures.at(all.method);
  if (all.augmentation.empty()) all.augmentation = all.method == "nnclr" ? "neighbour" : "none";
  if (all.stop_gradient.empty()) all.stop_gradient = all.method == "simclr" ? "off" : "on";
}

[[noreturn]] void refuse(const std::string& pair, const std::string& reason) {
  throw user_error(pair + ": " + reason);
}

void check_combinations(const settings& all) {
  const std::string with_method = "--method " + all.method;
  const std::vector<feature_augmentation> augmentations = all.augmentations();
  if (augmentations.size() > 1) {
    const std::set<feature_augmentation> different(augmentations.begin(), augmentations.end());
    if (different.contains(feature_augmentation::none)) {
      refuse("--augmentation " + all.augmentation, "none cannot be combined with others");
    }
    if (different.size() != augmentations.size())
      refuse("--augmentation " + all.augmentation, "an augmentation is named twice");
  }
  const bool similarity = all.method == "byol" || all.method == "simsiam";
  if (similarity && !all.has_predictor()) {
    refuse(with_method + " with --architecture basic",
           "instance similarity without a predictor collapses to a constant");
  }
  if (all.method == "simclr" && all.has_predictor()) {
    refuse(with_method + " with --architecture " + all.architecture,
           "simclr contrasts both views as equals and has no predictor");
  }
  if (all.has_momentum_target() && all.stop_gradient == "off") {
    refuse(with_method + " with --stop-gradient off",
           "its targets come from a momentum encoder, which takes no gradient");
  }
  if (all.method == "moco" && all.queue == 0)
    refuse(with_method + " with --queue 0", "its negatives are the queue's rows");
  for (const feature_augmentation one : augmentations) {
    if (one == feature_augmentation::neighbour && all.queue == 0) {
      refuse("--augmentation neighbour with --queue 0", "neighbours come from the queue");
    }
  }
  if (all.batch % all.accumulate != 0 || all.batch / all.accumulate < 2) {
    refuse("--batch " + std::to_string(all.batch) + " with --accumulate " +
               std::to_string(all.accumulate),
           "micro-batches are of equal size and of at least 2 images");
  }
  if (all.train_size < all.batch) {
    refuse("--train-size " + std::to_string(all.train_size) + " with --batch " +
               std::to_string(all.batch),
           "there is not one whole batch");
  }
  if (!(all.learning_rate > 0) || !std::isfinite(all.learning_rate))
    refuse("--learning-rate", "must be a finite number above 0");
  if (!(all.temperature > 0) || !std::isfinite(all.temperature))
    refuse("--temperature", "must be a finite number above 0");
}

}  // namespace

std::vector<feature_augmentation> settings::augmentations() const {
  std::vector<feature_augmentation> all;
  std::stringstream names(augmentation);
  for (std::string name; std::getline(names, name, ',');) {
    const auto found = augmentation_names.find(name);
    if (found == augmentation_names.end()) {
      throw user_error("--augmentation " + augmentation + ": \"" + name +
                       "\" is none of none, neighbour, mask, noise, interpolate, extrapolate");
    }
    all.push_back(found->second);
  }
  return all;
}

settings read_settings(int count, char** words) {
  settings all;
  CLI::App app(
      "Self-supervised training of a small encoder on Fashion-MNIST with feature augmentation.");
  add_options(app, all);
  try {
    app.parse(count, words);
  } catch (const CLI::CallForHelp& help) {
    std::exit(app.exit(help));
  } catch (const CLI::ParseError& problem) {
    throw user_error(problem.what());
  }
  fill_in(all);
  check_combinations(all);
  return all;
}

nlohmann::json to_json(const settings& all, bool of_the_numbers) {
  nlohmann::json json = {{"method", all.method},
                         {"augmentation", all.augmentation},
                         {"architecture", all.architecture},
                         {"samples", all.samples},
                         {"sample-reduction", all.sample_reduction},
                         {"stop-gradient", all.stop_gradient},
                         {"data-augmentation", all.data_augmentation},
                         {"queue", all.queue},
                         {"train-size", all.train_size},
                         {"batch", all.batch},
                         {"accumulate", all.accumulate},
                         {"epochs", all.epochs},
                         {"seed", all.seed},
                         {"learning-rate", all.learning_rate},
                         {"temperature", all.temperature},
                         {"momentum", all.momentum}};
  if (!of_the_numbers) {
    json["threads"] = all.threads;
    json["data"] = all.data;
    json["json"] = all.json;
    json["checkpoint"] = all.checkpoint;
    json["resume"] = all.resume;
  }
  return json;
}

}  // namespace trainer
