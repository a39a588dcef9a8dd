// Everything that a run is told, and which combinations mean something.
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
  mean_neighbour,
  soft_neighbour,
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
  double momentum = 0.99;  ///< of the target encoder, where there is one
  double mask_keep = 0.8;
  double noise_scale = 0.05;
  double interpolate_from = 0.8;  ///< weights of a feature: uniform from here to 1, of slerp too
  double extrapolate_to = 1.2;    ///< and from 1 to here
  std::string evaluation = "test";
  int threads = 0;
  std::string data = "/usr/share/datasets/fashion-mnist";
  std::string json;
  std::string plots;
  std::string checkpoint;
  std::string resume;

  /// The feature augmentations, in the order they are applied.
  [[nodiscard]] std::vector<feature_augmentation> augmentations() const;
  [[nodiscard]] bool has_predictor() const { return architecture != "basic"; }
  /// Whether features are augmented on the side that learns; else on the targets' side.
  [[nodiscard]] bool augments_predictions() const {
    return architecture == "pre_predictor" || architecture == "post_predictor";
  }
  [[nodiscard]] bool has_momentum_target() const {
    return method == "moco" || method == "byol" || method == "mean_shift" || method == "ressl";
  }
  /// Whether feaug::step carries the method out: the others compare no pairs.
  [[nodiscard]] bool is_step() const {
    return method == "simclr" || method == "nnclr" || method == "moco" || method == "byol" ||
           method == "simsiam";
  }
};

/// A combination whose options are all right, and mean nothing together.
struct meaningless_combination : user_error {
  using user_error::user_error;
};

/// Reads the command line and fills in what the method fixes. Prints help and exits for --help;
/// throws user_error for an unknown option or a bad value, meaningless_combination with the reason.
settings read_settings(int count, char** words);

/// The settings as JSON, by the options' own names. `of_the_numbers` leaves out what no result
/// depends on: threads and paths.
nlohmann::json to_json(const settings& all, bool of_the_numbers);

}  // namespace trainer
