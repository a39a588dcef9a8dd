// The settings of a run, and checks of their combinations.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "user_error.hpp"

namespace trainer {

enum class feature_augmentation {
  none,
  neighbour,
  random_neighbour,
  mean_neighbour,
  soft_neighbour,
  pseudo_neighbour,
  mutual_neighbour,
  covariance_noise,
  mask,
  noise,
  interpolate,
  extrapolate,
  slerp,
  exchange_moments
};

struct settings {
  std::string method = "nnclr";
  std::string augmentation;  ///< empty: neighbour for nnclr, none for the others
  std::string architecture;  ///< empty: the method's own
  int samples = 1;
  std::string sample_reduction = "mean";
  std::string stop_gradient;  ///< empty: the method's own
  std::string data_augmentation = "symmetric";
  std::int64_t queue = 4096;
  std::int64_t train_size = 10000;
  std::int64_t batch = 64;
  std::int64_t accumulate = 1;
  std::int64_t epochs = 16;
  std::uint64_t seed = 1;
  double learning_rate = 1e-2;
  double temperature = 0.2;
  double momentum = 0.99;  ///< of the target encoder, if there is one
  double mask_keep = 0.8;
  double noise_scale = 0.05;
  double covariance_scale = 1;    ///< of covariance_noise
  double interpolate_from = 0.8;  ///< feature weights uniform from here to 1; also for slerp
  double extrapolate_to = 1.2;    ///< feature weights uniform from 1 to here
  std::int64_t neighbours = 5;    ///< of random_neighbour, mean_neighbour and soft_neighbour
  double similarity_floor = -1;   ///< least cosine of a neighbour; −1: any
  std::int64_t neighbour_from_epoch = 0;  ///< before it, neighbours are not used
  std::string evaluation = "test";
  int threads = 0;
  std::string data = "/usr/share/datasets/fashion-mnist";
  std::string json;
  std::string plots;
  std::string features;
  std::string checkpoint;
  std::string resume;

  /// The feature augmentations, in the order in which they are applied.
  [[nodiscard]] std::vector<feature_augmentation> augmentations() const;
  [[nodiscard]] bool has_predictor() const { return architecture != "basic"; }
  /// Whether features are augmented on the side that learns; otherwise on the targets' side.
  [[nodiscard]] bool augments_predictions() const {
    return architecture == "pre_predictor" || architecture == "post_predictor";
  }
  [[nodiscard]] bool has_momentum_target() const {
    return method == "moco" || method == "byol" || method == "mean_shift" || method == "ressl";
  }
  /// Whether feaug::step implements the method. The other methods do not compare pairs.
  [[nodiscard]] bool is_step() const {
    return method == "simclr" || method == "nnclr" || method == "moco" || method == "byol" ||
           method == "simsiam";
  }
};

/// Whether an augmentation searches neighbours in the queue.
bool reads_queue(feature_augmentation one);

/// Options that are valid one by one but make no sense together.
struct meaningless_combination : user_error {
  using user_error::user_error;
};

/// Reads the command line and fills in the method's defaults. For --help, prints help and exits.
/// Throws user_error for an unknown option or a bad value, and meaningless_combination with the
/// reason.
settings read_settings(int count, char** words);

/// The settings as JSON, by option name. `of_the_numbers` omits settings that do not affect
/// results: threads and paths.
nlohmann::json to_json(const settings& all, bool of_the_numbers);

}  // namespace trainer
