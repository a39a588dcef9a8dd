// gallery FILE [train_fashion_mnist's options]: writes as JSON the augmented points of the plane
// and the augmented features of an encoder; features are projected on the two main axes of the
// queue's features. docs/pictures/make_gallery.py draws them; scripts/gallery does both.
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "augmented.hpp"
#include "files.hpp"
#include "principal_axes.hpp"
#include "scene.hpp"
#include "trainer.hpp"
#include "user_error.hpp"

namespace gallery {
namespace {

using network::index;
using network::matrix;

/// Projects rows on the queue's two main axes; points in the plane are kept as they are.
class projection {
 public:
  explicit projection(const matrix<float>& of) {
    if (of.cols() > 2) onto_ = trainer::principal_axes_of(of);
  }

  [[nodiscard]] nlohmann::json of(const matrix<float>& rows) const {
    const matrix<float> points = onto_ ? trainer::projected(*onto_, rows) : rows;
    nlohmann::json list = nlohmann::json::array();
    for (index i = 0; i < points.rows(); ++i) list.push_back({points(i, 0), points(i, 1)});
    return list;
  }

 private:
  std::optional<trainer::principal_axes> onto_;
};

nlohmann::json picture(feaug::cpu_context& ctx, scene& from, const feaug::random_key& key) {
  const projection onto(from.queue);
  nlohmann::json all = {
      {"labels", from.labels}, {"rows", onto.of(from.rows)}, {"queue", onto.of(from.queue)}};
  for (const named_rows& each : augmented(ctx, from, key))
    all["augmented"][each.name] = onto.of(each.rows);
  return all;
}

int run(int count, char** words) {
  if (count < 2) throw trainer::user_error("the first argument is the file to write");
  const std::string file = words[1];
  trainer::require_writable(file);
  const trainer::settings chosen = trainer::read_settings(count - 1, words + 1);
  const trainer::fashion_mnist data = trainer::load_images(chosen);
  feaug::cpu_context ctx{.threads = chosen.threads};
  const feaug::random_key key{.seed = chosen.seed};

  scene points = plane(key.streams_later(1000));
  scene features = fashion(ctx, chosen, data);
  nlohmann::json all = {{"plane", picture(ctx, points, key)},
                        {"fashion", picture(ctx, features, key)}};
  for (const named_rows& each : masks(ctx, features.rows.cols(), key)) {
    for (index i = 0; i < each.rows.rows(); ++i) {
      std::string kept;
      for (index j = 0; j < each.rows.cols(); ++j) kept += each.rows(i, j) != 0 ? '1' : '0';
      all["masks"][each.name].push_back(kept);
    }
  }
  trainer::write_atomically(file, all.dump() + "\n");
  return 0;
}

}  // namespace
}  // namespace gallery

int main(int count, char** words) {
  try {
    return gallery::run(count, words);
  } catch (const trainer::user_error& problem) {
    std::cerr << "gallery: " << problem.what() << std::endl;
    return 2;
  } catch (const std::exception& problem) {
    std::cerr << "gallery: failed: " << problem.what() << std::endl;
    return 1;
  }
}
