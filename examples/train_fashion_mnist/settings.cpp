#include "settings.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <utility>

namespace trainer {
namespace {

const std::map<std::string, feature_augmentation> augmentation_names = {
    {"none", feature_augmentation::none},
    {"neighbour", feature_augmentation::neighbour},
    {"random_neighbour", feature_augmentation::random_neighbour},
    {"mean_neighbour", feature_augmentation::mean_neighbour},
    {"soft_neighbour", feature_augmentation::soft_neighbour},
    {"pseudo_neighbour", feature_augmentation::pseudo_neighbour},
    {"mutual_neighbour", feature_augmentation::mutual_neighbour},
    {"covariance_noise", feature_augmentation::covariance_noise},
    {"mask", feature_augmentation::mask},
    {"noise", feature_augmentation::noise},
    {"interpolate", feature_augmentation::interpolate},
    {"extrapolate", feature_augmentation::extrapolate},
    {"slerp", feature_augmentation::slerp},
    {"exchange_moments", feature_augmentation::exchange_moments},
};

std::string all_augmentations() {
  std::string names;
  for (const auto& [name, which] : augmentation_names) names += (names.empty() ? "" : ", ") + name;
  return names;
}

void add_options(CLI::App& app, settings& all) {
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.add_option("--method", all.method, "what is trained")
      ->check(CLI::IsMember({"simclr", "nnclr", "moco", "byol", "simsiam", "barlow_twins", "vicreg",
                             "swav", "mean_shift", "ressl"}))
      ->capture_default_str();
  app.add_option("--augmentation", all.augmentation,
                 all_augmentations() +
                     "; several, comma-separated, are applied in turn (default: neighbour for "
                     "nnclr, else none)");
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
                 "on or off for the target side (default: the method's own)")
      ->check(CLI::IsMember({"on", "off"}));
  app.add_option("--data-augmentation", all.data_augmentation,
                 "strength of the random changes that make the two views of an image. none: both "
                 "are the image itself. weak: crops of at least 80 % of its area, and flips. mild: "
                 "the same with 60 %. symmetric: 30 %, flips, brightness times 0.5 to 1.5. "
                 "asymmetric: the first view 20 %, flips, brightness times 0.3 to 1.7, the second "
                 "as weak")
      ->check(CLI::IsMember({"none", "weak", "mild", "symmetric", "asymmetric"}))
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
  app.add_option("--seed", all.seed, "of all that is random, 0 or above")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--learning-rate", all.learning_rate, "of AdamW, at its peak")
      ->capture_default_str();
  app.add_option("--temperature", all.temperature, "of the contrastive losses")
      ->capture_default_str();
  app.add_option("--momentum", all.momentum, "of the target encoder: moco, byol, mean_shift, ressl")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--mask-keep", all.mask_keep, "probability that mask keeps a feature")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--noise-scale", all.noise_scale, "of noise, beside features of length 1")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--covariance-scale", all.covariance_scale,
                 "of covariance_noise; 1: the covariance of the features themselves")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--neighbours", all.neighbours,
                 "rows that random_neighbour draws from, and that mean_neighbour and "
                 "soft_neighbour average")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--similarity-floor", all.similarity_floor,
                 "least cosine of a neighbour; a feature without one stays unchanged (not for "
                 "soft_neighbour)")
      ->check(CLI::Range(-1.0, 1.0))
      ->capture_default_str();
  app.add_option("--neighbour-from-epoch", all.neighbour_from_epoch,
                 "the first epoch, from 0, in which neighbours are used; before it features stay "
                 "unchanged")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--interpolate-from", all.interpolate_from, "a feature's least weight, to 1")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--extrapolate-to", all.extrapolate_to, "a feature's largest weight, from 1")
      ->check(CLI::Range(1.0, 2.0))
      ->capture_default_str();
  app.add_option("--evaluation", all.evaluation,
                 "images that accuracy is measured on: the test set, or the last sixth of the "
                 "training images")
      ->check(CLI::IsMember({"test", "validation"}))
      ->capture_default_str();
  app.add_option("--threads", all.threads, "0: all")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_option("--data", all.data, "folder with Fashion-MNIST's four idx files, .gz or not")
      ->capture_default_str();
  app.add_option("--json", all.json, "where the results go");
  app.add_option("--plots", all.plots, "a folder for pictures of the run; needs gnuplot");
  app.add_option("--features", all.features,
                 "a folder for the trained encoder's features of all images, as NumPy files");
  app.add_option("--checkpoint", all.checkpoint, "written after every epoch and when interrupted");
  app.add_option("--resume", all.resume,
                 "a checkpoint to go on from, to the numbers of an uninterrupted run");
}

/// Whether an augmentation takes --neighbours rows.
bool takes_several(feature_augmentation one) {
  return one == feature_augmentation::random_neighbour ||
         one == feature_augmentation::mean_neighbour || one == feature_augmentation::soft_neighbour;
}

void fill_in(settings& all) {
  const std::map<std::string, std::string> architectures = {{"simclr", "basic"},
                                                            {"nnclr", "parallel_predictor"},
                                                            {"moco", "basic"},
                                                            {"byol", "parallel_predictor"},
                                                            {"simsiam", "parallel_predictor"},
                                                            {"barlow_twins", "basic"},
                                                            {"vicreg", "basic"},
                                                            {"swav", "basic"},
                                                            {"mean_shift", "parallel_predictor"},
                                                            {"ressl", "basic"}};
  if (all.architecture.empty()) all.architecture = architectures.at(all.method);
  if (all.augmentation.empty()) all.augmentation = all.method == "nnclr" ? "neighbour" : "none";
  // Options without an effect get their defaults: runs that are equal have equal settings.
  const std::vector<feature_augmentation> augmentations = all.augmentations();
  const auto has = [&](feature_augmentation one) {
    return std::find(augmentations.begin(), augmentations.end(), one) != augmentations.end();
  };
  const settings defaults;
  if (all.samples == 1) all.sample_reduction = defaults.sample_reduction;
  if (!has(feature_augmentation::covariance_noise))
    all.covariance_scale = defaults.covariance_scale;
  if (std::none_of(augmentations.begin(), augmentations.end(), takes_several))
    all.neighbours = defaults.neighbours;
  if (all.stop_gradient.empty()) {
    const bool equals =
        all.method == "simclr" || all.method == "barlow_twins" || all.method == "vicreg";
    all.stop_gradient = equals ? "off" : "on";
  }
}

[[noreturn]] void refuse(const std::string& pair, const std::string& reason) {
  throw meaningless_combination(pair + ": " + reason);
}

/// Checks the combinations for methods that feaug::step does not implement.
void check_objective(const settings& all) {
  const std::string with_method = "--method " + all.method;
  const bool from_queue = all.method == "mean_shift" || all.method == "ressl";
  const std::vector<feature_augmentation> augmentations = all.augmentations();
  const std::string own = all.method == "mean_shift" ? "parallel_predictor" : "basic";
  if (all.architecture != own) {
    refuse(with_method + " with --architecture " + all.architecture,
           own == "basic" ? "it has no predictor" : "its one predictor is before the comparison");
  }
  if (all.samples > 1) {
    refuse(with_method + " with --samples " + std::to_string(all.samples),
           "its loss is of one sample a feature");
  }
  if (from_queue && all.queue == 0)
    refuse(with_method + " with --queue 0", "it learns from the queue's rows");
  if (from_queue && augmentations.front() != feature_augmentation::none) {
    refuse(with_method + " with --augmentation " + all.augmentation,
           "it compares with the queue's rows, not with augmented features");
  }
  const bool equals = all.method == "barlow_twins" || all.method == "vicreg";
  if (equals && all.stop_gradient == "on") {
    refuse(with_method + " with --stop-gradient on", "its two views are equals, and both learn");
  }
  if (all.method == "swav" && all.stop_gradient == "off")
    refuse(with_method + " with --stop-gradient off", "assignments are constants");
  for (const feature_augmentation one : augmentations) {
    if (equals && one == feature_augmentation::covariance_noise) {
      refuse(with_method + " with --augmentation " + all.augmentation,
             "it compares features of any length, and the covariance is of unit vectors");
    }
    if (all.method == "vicreg" && reads_queue(one)) {
      refuse("--method vicreg with --augmentation " + all.augmentation,
             "it compares lengths, and neighbours are unit vectors");
    }
  }
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
    if (augmentations.size() > 4)
      refuse("--augmentation " + all.augmentation, "at most four are applied in turn");
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
  if (!all.is_step()) check_objective(all);
  if (all.has_momentum_target() && all.stop_gradient == "off") {
    refuse(with_method + " with --stop-gradient off",
           "its targets come from a momentum encoder, which takes no gradient");
  }
  if (all.method == "moco" && all.queue == 0)
    refuse(with_method + " with --queue 0", "its negatives are the queue's rows");
  for (const feature_augmentation one : augmentations) {
    if (reads_queue(one) && all.queue == 0) {
      refuse("--augmentation " + all.augmentation + " with --queue 0",
             "neighbours come from the queue");
    }
    if (one == feature_augmentation::soft_neighbour && all.similarity_floor > -1) {
      refuse("--augmentation " + all.augmentation + " with --similarity-floor",
             "a soft neighbour has no floor");
    }
  }
  const bool has_neighbour = std::any_of(augmentations.begin(), augmentations.end(), reads_queue);
  if (!has_neighbour && (all.neighbour_from_epoch > 0 || all.similarity_floor > -1)) {
    refuse("--augmentation " + all.augmentation +
               (all.neighbour_from_epoch > 0 ? " with --neighbour-from-epoch"
                                             : " with --similarity-floor"),
           "it has no neighbours");
  }
  if (std::any_of(augmentations.begin(), augmentations.end(), takes_several) &&
      all.neighbours > all.queue) {
    refuse("--neighbours " + std::to_string(all.neighbours) + " with --queue " +
               std::to_string(all.queue),
           "wanted at most as many neighbours as the queue has rows");
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
  if (has_neighbour && all.epochs > 0 && all.neighbour_from_epoch >= all.epochs) {
    refuse("--neighbour-from-epoch " + std::to_string(all.neighbour_from_epoch) +
               " with --epochs " + std::to_string(all.epochs),
           "no neighbour would be used");
  }
  for (const auto& [name, value] : {std::pair("--momentum", all.momentum),
                                    {"--mask-keep", all.mask_keep},
                                    {"--noise-scale", all.noise_scale},
                                    {"--covariance-scale", all.covariance_scale},
                                    {"--interpolate-from", all.interpolate_from},
                                    {"--extrapolate-to", all.extrapolate_to},
                                    {"--similarity-floor", all.similarity_floor}}) {
    if (!std::isfinite(value)) throw user_error(std::string(name) + ": must be a finite number");
  }
  if (!(all.learning_rate > 0) || !std::isfinite(all.learning_rate))
    throw user_error("--learning-rate: must be a finite number above 0");
  if (!(all.temperature > 0) || !std::isfinite(all.temperature))
    throw user_error("--temperature: must be a finite number above 0");
}

}  // namespace

bool reads_queue(feature_augmentation one) {
  switch (one) {
    case feature_augmentation::neighbour:
    case feature_augmentation::random_neighbour:
    case feature_augmentation::mean_neighbour:
    case feature_augmentation::soft_neighbour:
    case feature_augmentation::pseudo_neighbour:
    case feature_augmentation::mutual_neighbour:
      return true;
    default:
      return false;
  }
}

std::vector<feature_augmentation> settings::augmentations() const {
  std::vector<feature_augmentation> all;
  std::stringstream names(augmentation);
  for (std::string name; std::getline(names, name, ',');) {
    const auto found = augmentation_names.find(name);
    if (found == augmentation_names.end()) {
      throw user_error("--augmentation " + augmentation + ": \"" + name + "\" is none of " +
                       all_augmentations());
    }
    all.push_back(found->second);
  }
  return all;
}

settings read_settings(int count, char** words) {
  settings all;
  CLI::App app(
      "Self-supervised training of a small encoder on Fashion-MNIST with feature augmentation.");
  app.footer(
      "With --sweep FILE every option takes a list, every combination is a run, and FILE keeps "
      "the results.");
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
                         {"momentum", all.momentum},
                         {"mask-keep", all.mask_keep},
                         {"noise-scale", all.noise_scale},
                         {"covariance-scale", all.covariance_scale},
                         {"neighbours", all.neighbours},
                         {"similarity-floor", all.similarity_floor},
                         {"neighbour-from-epoch", all.neighbour_from_epoch},
                         {"interpolate-from", all.interpolate_from},
                         {"extrapolate-to", all.extrapolate_to},
                         {"evaluation", all.evaluation}};
  if (!of_the_numbers) {
    json["threads"] = all.threads;
    json["data"] = all.data;
    json["json"] = all.json;
    json["plots"] = all.plots;
    json["features"] = all.features;
    json["checkpoint"] = all.checkpoint;
    json["resume"] = all.resume;
  }
  return json;
}

}  // namespace trainer
