// The training loop: views, features, loss and gradients, update, queue.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "accuracies.hpp"
#include "checkpoint.hpp"
#include "covariance_memory.hpp"
#include "dataset.hpp"
#include "feaug/cpu/core/context.hpp"
#include "model.hpp"
#include "network/adamw.hpp"
#include "network/matrix.hpp"
#include "network/parameter.hpp"
#include "queue_memory.hpp"
#include "settings.hpp"

namespace trainer {

/// The images for training and evaluation of a run.
fashion_mnist load_images(const settings& chosen);

struct update_report {
  double loss = 0;
  double neighbour_accuracy =
      -1;  ///< share of nearest queue rows with the query's label; −1 while the queue is empty
};

class training {
 public:
  training(feaug::cpu_context& ctx, const settings& chosen, const fashion_mnist& data);

  [[nodiscard]] std::int64_t updates_an_epoch() const { return chosen_.train_size / chosen_.batch; }
  [[nodiscard]] std::int64_t total_updates() const { return updates_an_epoch() * chosen_.epochs; }
  [[nodiscard]] std::int64_t updates_done() const {
    return static_cast<std::int64_t>(losses_.size());
  }
  [[nodiscard]] const std::vector<float>& losses() const { return losses_; }
  /// The values of update_report, one per update.
  [[nodiscard]] const std::vector<float>& neighbour_accuracies() const {
    return neighbour_accuracies_;
  }
  network::encoder<float>& encoder() { return online_.encoder; }

  /// One update of the parameters from one batch.
  update_report update();

  /// The run's whole state; `before` is stored with it.
  std::string checkpoint(const accuracies& before);
  /// Restores a checkpoint's state and returns its `before`. If the file does not fit, throws
  /// user_error and changes nothing.
  accuracies restore(const std::string& path);

 private:
  struct micro_batch {
    std::vector<std::int64_t> ids;
    std::vector<std::int64_t> labels;
    network::matrix<float> images;
    std::int64_t first_row;
  };

  micro_batch gather(std::int64_t update, std::int64_t part);
  /// The order of the images in an epoch, drawn at its first use.
  const std::vector<feaug::index_t>& order_of(std::int64_t epoch);
  update_report train_on(const micro_batch& batch, std::uint64_t step);
  double compare(const micro_batch& batch, network::matrix<float>& online,
                 network::matrix<float>& gradient, network::matrix<float>& target,
                 std::uint64_t step);
  [[nodiscard]] double learning_rate(std::int64_t update) const;
  std::vector<array_view> arrays();

  feaug::cpu_context& ctx_;
  settings chosen_;
  const fashion_mnist& data_;
  branch online_;
  std::unique_ptr<branch> target_;  // moco, byol, mean_shift, ressl
  predictor predictor_;
  network::parameter<float> prototypes_;  // swav
  network::state<float> learned_;
  network::state<float> online_state_;
  network::state<float> target_state_;
  network::adamw<float> optimiser_;
  queue_memory queue_;
  covariance_memory covariance_;
  std::vector<feaug::index_t> order_;
  std::int64_t epoch_of_order_ = -1;
  std::vector<float> losses_;
  std::vector<float> neighbour_accuracies_;
  // New rows are enqueued only after the whole batch was compared with the old rows.
  std::vector<network::matrix<float>> to_enqueue_;
};

}  // namespace trainer
