// The memory of a run's covariance of features, for covariance_noise.
#pragma once

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "feaug/cpu/augment/l2_normalize.hpp"
#include "feaug/cpu/augment/running_covariance.hpp"
#include "feaug/cpu/core/context.hpp"
#include "matrix_view.hpp"
#include "model.hpp"
#include "network/matrix.hpp"
#include "settings.hpp"

namespace trainer {

/// A running covariance's memory, owned by the program. Without covariance_noise it is empty.
struct covariance_memory {
  std::vector<double> numbers;  ///< mean, covariance, factor
  feaug::index_t count = 0;

  explicit covariance_memory(const settings& chosen) {
    const std::vector<feature_augmentation> all = chosen.augmentations();
    if (std::find(all.begin(), all.end(), feature_augmentation::covariance_noise) != all.end())
      numbers.resize(static_cast<std::size_t>(columns + 2 * columns * columns));
  }

  [[nodiscard]] bool is_used() const { return !numbers.empty(); }

  feaug::running_covariance<> view() {
    if (!is_used()) return {.count = &count};
    double* const mean = numbers.data();
    return {.mean = {mean, columns},
            .covariance = {mean + columns, columns, columns},
            .factor = {mean + columns + columns * columns, columns, columns},
            .count = &count};
  }

  /// Takes the rows of a batch into account. Augmentations receive unit rows, so these are
  /// normalised first. Old rows come from an older encoder and lose their weight.
  void update(feaug::cpu_context& ctx, const network::matrix<float>& features) {
    network::matrix<float> unit(features.rows(), features.cols());
    feaug::l2_normalize(ctx, trainer::view(features), trainer::view(unit));
    feaug::update_covariance(ctx, view(), trainer::view(std::as_const(unit)), {.momentum = 0.9});
  }

 private:
  static constexpr feaug::index_t columns = projected_features;
};

}  // namespace trainer
