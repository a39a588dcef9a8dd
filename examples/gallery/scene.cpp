#include "scene.hpp"

#include <array>
#include <utility>

#include "feaug/core/random_normal.hpp"
#include "feaug/cpu/augment/l2_normalize.hpp"
#include "model.hpp"
#include "trainer.hpp"

namespace gallery {
namespace {

using network::index;
using network::matrix;

struct point {
  float x, y;
};
constexpr std::array<point, 3> centres = {{{0.95F, 0.25F}, {0.4F, 0.85F}, {-0.75F, 0.6F}}};
constexpr float spread = 0.12F;

matrix<float> clouds(index of_each, const feaug::random_key& key) {
  matrix<float> points(of_each * static_cast<index>(centres.size()), 2);
  for (index i = 0; i < points.rows(); ++i) {
    const point& centre = centres[static_cast<std::size_t>(i / of_each)];
    points(i, 0) = centre.x + spread * feaug::draw_normal(key, i, 0);
    points(i, 1) = centre.y + spread * feaug::draw_normal(key, i, 1);
  }
  return points;
}

// Four classes of Fashion-MNIST that the features separate well: trousers, sandal, bag, ankle boot.
constexpr std::array<std::int64_t, 4> classes = {1, 5, 8, 9};

/// The first `of_each` images of each class, class by class.
matrix<float> chosen_images(const trainer::dataset& from, index of_each) {
  matrix<float> images(of_each * static_cast<index>(classes.size()), from.images.cols());
  index row = 0;
  for (const std::int64_t label : classes) {
    const index end = row + of_each;
    for (index i = 0; i < from.images.rows() && row < end; ++i) {
      if (from.labels[static_cast<std::size_t>(i)] == label) images.row(row++) = from.images.row(i);
    }
    if (row < end) throw trainer::user_error("--train-size: too few images of some class");
  }
  return images;
}

std::vector<std::int64_t> labels_of(index count, index of_each) {
  std::vector<std::int64_t> labels;
  for (index i = 0; i < count; ++i) labels.push_back(i / of_each);
  return labels;
}

}  // namespace

scene plane(const feaug::random_key& key) {
  constexpr index of_each = 20;
  matrix<float> rows = clouds(of_each, key);
  std::vector<std::int64_t> labels = labels_of(rows.rows(), of_each);
  return {.rows = std::move(rows),
          .labels = std::move(labels),
          .queue = clouds(60, key.streams_later(1))};
}

scene fashion(feaug::cpu_context& ctx, const trainer::settings& chosen,
              const trainer::fashion_mnist& data) {
  trainer::training run(ctx, chosen, data);
  while (run.updates_done() < run.total_updates()) run.update();
  constexpr index of_each = 20;
  const auto unit_features = [&](const matrix<float>& images) {
    matrix<float> features = trainer::features_of(ctx, run.encoder(), images);
    feaug::l2_normalize(ctx, view(features), view(features));
    return features;
  };
  matrix<float> rows = unit_features(chosen_images(data.held_out, of_each));
  std::vector<std::int64_t> labels = labels_of(rows.rows(), of_each);
  return {.rows = std::move(rows),
          .labels = std::move(labels),
          .queue = unit_features(chosen_images(data.train, 60))};
}

}  // namespace gallery
