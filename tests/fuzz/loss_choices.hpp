// A random call of a random loss.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "feaug/core/operand.hpp"
#include "fuzz/choices.hpp"
#include "support/loss_cases.hpp"

namespace fuzz {

struct chosen_loss {
  testing::loss_case call;
  /// Whether inputs are zero, tiny, huge, infinite or NaN. The types overflow at different numbers, so
  /// such calls are not compared with double.
  bool has_extremes = false;
};

class loss_choices {
 public:
  explicit loss_choices(choices& choose) : choose_(choose) {}

  chosen_loss make() {
    chosen_loss made{.call = (this->*choose_.member_of(makers()).second)()};
    auto& given = made.call.given;
    for (auto& [name, padding] : given.padding) {
      padding = choose_.between(0, 3);
      if (name == "keep") continue;
      auto& input = given.inputs.at(name);
      // Exponentials must not overflow half, or lose all digits of float.
      const bool is_bounded = name == "log_variance" || !given.options.value("normalize", true);
      const double scale =
          is_bounded ? choose_.one_of({0.5, 0.1}) : choose_.one_of({1.0, 1.0, 0.1, 4.0});
      input.data = choose_.normal(input.data.size());
      for (double& x : input.data) x *= scale;
    }
    made.has_extremes = choose_.one_in(6);
    if (made.has_extremes) add_extremes(given);
    return made;
  }

  /// Makes a call of each loss, by name. A new loss is added here.
  using maker = testing::loss_case (loss_choices::*)();
  static const std::map<std::string, maker>& makers() {
    static const std::map<std::string, maker> all = {
        {"assignment_loss", &loss_choices::assignment_loss},
        {"barlow_twins", &loss_choices::barlow_twins},
        {"hard_negative_info_nce", &loss_choices::hard_negative_info_nce},
        {"hypersphere", &loss_choices::hypersphere},
        {"info_nce", &loss_choices::info_nce},
        {"kl_to_standard_normal", &loss_choices::kl_to_standard_normal},
        {"masked_prediction", &loss_choices::masked_prediction},
        {"mean_shift", &loss_choices::mean_shift},
        {"negative_cosine", &loss_choices::negative_cosine},
        {"nt_xent", &loss_choices::nt_xent},
        {"relation_distillation", &loss_choices::relation_distillation},
        {"sigmoid", &loss_choices::sigmoid},
        {"sinkhorn", &loss_choices::sinkhorn},
        {"soft_neighbour_contrast", &loss_choices::soft_neighbour_contrast},
        {"supervised_contrastive", &loss_choices::supervised_contrastive},
        {"swapped_assignment", &loss_choices::swapped_assignment},
        {"symmetric_info_nce", &loss_choices::symmetric_info_nce},
        {"vicreg", &loss_choices::vicreg}};
    return all;
  }

 private:
  using gradient_mode = feaug::gradient_mode;
  using index_t = feaug::index_t;
  using loss_case = testing::loss_case;
  using json = nlohmann::json;

  gradient_mode mode() {
    return choose_.one_of(
        {gradient_mode::overwrite, gradient_mode::none, gradient_mode::accumulate});
  }
  index_t rows(index_t least = 1) { return choose_.between(least, choose_.one_in(8) ? 80 : 9); }
  index_t cols() { return choose_.between(1, choose_.one_in(6) ? 140 : 20); }
  json reduction() { return {{"reduction", choose_.one_of<const char*>({"mean", "sum", "none"})}}; }
  bool coin() { return choose_.one_in(2); }
  double temperature() { return choose_.one_of({0.2, 0.1, 0.5, 1.0, 2.0}); }

  loss_case& weighted(loss_case& made, index_t losses) {
    if (coin()) made.row_weights(losses);
    return made;
  }
  loss_case& contrastive(loss_case& made, index_t losses) {
    made.given.options["temperature"] = temperature();
    if (coin()) made.learnable("temperature", temperature());
    return weighted(made, losses);
  }

  loss_case two_views(const std::string& loss, const std::string& first, const std::string& second,
                      index_t n, const json& options) {
    const index_t width = cols();
    const std::array modes = {mode(), mode()};
    return testing::loss_rows::two_views(loss, first, second, n, width, modes[0], modes[1],
                                         options);
  }

  json of_contrast() {
    json options = reduction();
    options["normalize"] = !choose_.one_in(3);
    options["in_batch_negatives"] = !choose_.one_in(3);
    return options;
  }
  testing::loss_rows::contrast_shape contrast_shape(index_t least_negatives) {
    const index_t n = rows();
    return {.rows = n,
            .keys = n + (coin() ? choose_.between(0, 7) : 0),
            .negatives = choose_.between(least_negatives, choose_.one_in(8) ? 300 : 12),
            .cols = cols()};
  }
  loss_case info_nce() {
    const auto shape = contrast_shape(0);
    json options = of_contrast();
    options["positive_offset"] = choose_.between(0, shape.keys - shape.rows);
    const std::array modes = {mode(), mode(), mode()};
    loss_case made = testing::loss_rows::info_nce(shape, modes[0], modes[1], modes[2], options);
    return contrastive(made, shape.rows);
  }
  loss_case hard_negative_info_nce() {
    auto shape = contrast_shape(1);
    // All rows of one feature have the same cosine, and rounding would decide which are hardest.
    shape.cols = std::max(shape.cols, index_t{2});
    json options = of_contrast();
    options["positive_offset"] = choose_.between(0, shape.keys - shape.rows);
    for (const char* kind :
         {"interpolated", "extrapolated", "mixed", "noisy", "stepped", "sign_stepped"})
      options[kind] = choose_.between(0, 3);
    const std::array modes = {mode(), mode()};
    const index_t hardest = choose_.between(1, shape.negatives);
    loss_case made =
        testing::loss_rows::hard_negative_info_nce(shape, hardest, modes[0], modes[1], options);
    if (choose_.one_in(3)) {
      const index_t classes = choose_.between(1, 4);
      made.numbers("ids", {shape.negatives},
                   [=](index_t j) { return static_cast<double>(j % classes); });
      made.numbers("exclude_ids", {shape.rows},
                   [=](index_t i) { return static_cast<double>(i % (classes + 1)); });
    }
    return contrastive(made, shape.rows);
  }
  loss_case symmetric_info_nce() {
    const index_t n = rows();
    loss_case made = two_views("symmetric_info_nce", "queries", "keys", n, reduction());
    return contrastive(made, n);
  }
  loss_case nt_xent() {
    json options = reduction();
    options["decoupled"] = coin();
    const index_t n = rows(options["decoupled"] ? 2 : 1);
    if (options["decoupled"] && coin()) options["positive_weighting"] = choose_.one_of({0.5, 1.0});
    loss_case made = two_views("nt_xent", "a", "b", n, options);
    return contrastive(made, 2 * n);
  }
  loss_case negative_cosine() {
    json options = reduction();
    options["form"] = choose_.one_of<const char*>({"byol", "simsiam"});
    const index_t n = rows();
    loss_case made = two_views("negative_cosine", "prediction", "target", n, options);
    return weighted(made, n);
  }
  loss_case kl_to_standard_normal() {
    const index_t n = rows();
    loss_case made = two_views("kl_to_standard_normal", "mean", "log_variance", n, reduction());
    return weighted(made, n);
  }
  loss_case sigmoid() {
    json options = reduction();
    options["normalize"] = !choose_.one_in(3);
    const index_t n = rows();
    loss_case made = two_views("sigmoid", "a", "b", n, options);
    if (coin()) made.learnable("scale", choose_.one_of({4.0, 1.0, -2.0}));
    if (coin()) made.learnable("bias", choose_.one_of({-3.0, 0.0, 2.0}));
    return weighted(made, n);
  }
  loss_case barlow_twins() {
    const json options = {{"lambda", choose_.one_of({0.005, 0.1, 0.0, 2.0})}};
    return two_views("barlow_twins", "a", "b", rows(2), options);
  }
  loss_case vicreg() {
    const json options = {{"variance", choose_.one_of({25.0, 0.0, 1.0})},
                          {"eps", choose_.one_of({1e-4, 0.25})}};
    return two_views("vicreg", "a", "b", rows(2), options);
  }
  loss_case hypersphere() {
    const json options = {{"t", choose_.one_of({2.0, 0.5, 8.0})},
                          {"alpha", choose_.one_of({2.0, 1.0, 3.0})}};
    return two_views("hypersphere", "a", "b", rows(2), options);
  }
  loss_case masked_prediction() {
    json options = reduction();
    options["form"] = choose_.one_of<const char*>({"smooth_l1", "squared", "cosine"});
    options["beta"] = choose_.one_of({1.0, 0.0, 0.75});
    const index_t n = rows();
    loss_case made = two_views("masked_prediction", "prediction", "target", n, options);
    const index_t width = made.given.inputs.at("target").shape[1];
    const std::int64_t share = choose_.between(0, 4);
    made.matrix("keep", n, width).numbers("keep", {n, width}, [=](index_t i) {
      return (i * i / 3) % 5 < share ? 1.0 : 0.0;
    });
    return weighted(made, n);
  }
  loss_case supervised_contrastive() {
    json options = reduction();
    options["normalize"] = !choose_.one_in(3);
    loss_case made("supervised_contrastive", options);
    const index_t n = rows();
    const index_t width = cols();
    made.matrix("z", n, width, mode());
    made.numbers("labels", {n}, testing::loss_rows::some_labels(n, choose_.between(1, 6)));
    return contrastive(made, n);
  }
  json of_assignments() {
    return {{"epsilon", choose_.one_of({0.25, 0.5, 1.0})}, {"iterations", choose_.between(0, 4)}};
  }
  loss_case sinkhorn() {
    loss_case made("sinkhorn", of_assignments());
    made.given.options.erase("gradient_scale");
    made.given.options.erase("cotangent");
    const index_t width = cols();
    const index_t n = rows();
    made.matrix("scores", n, width);
    if (coin()) made.matrix("extra_scores", choose_.between(1, 5), width);
    return made;
  }
  loss_case assignment_loss() {
    json options = of_assignments();
    // Without iterations, assignments of these potentials are up to e^40, and where such numbers
    // cancel in a gradient, a float has no correct digit.
    options["iterations"] = choose_.between(1, 4);
    options.update(reduction());
    options["temperature"] = temperature();
    loss_case made("assignment_loss", options);
    const index_t n = rows();
    const index_t width = cols();
    made.matrix("scores", n, width, mode()).matrix("target.scores", n, width);
    made.numbers("target.potentials", {width},
                 [](index_t j) { return 0.3 * std::cos(static_cast<double>(j)); });
    return weighted(made, n);
  }
  loss_case swapped_assignment() {
    json options = of_assignments();
    options.update(reduction());
    options["temperature"] = temperature();
    const index_t n = rows();
    loss_case made = two_views("swapped_assignment", "scores_a", "scores_b", n, options);
    const index_t width = made.given.inputs.at("scores_a").shape[1];
    if (coin()) made.matrix("extra_scores_a", choose_.between(1, 5), width);
    if (coin()) made.matrix("extra_scores_b", choose_.between(1, 5), width);
    return weighted(made, n);
  }
  testing::loss_rows::queue_shape queue_shape() {
    const index_t filled = choose_.between(3, choose_.one_in(8) ? 300 : 20);
    return {.rows = rows(),
            .cols = cols(),
            .support = filled + (coin() ? choose_.between(0, 5) : 0),
            .filled = filled};
  }
  loss_case mean_shift() {
    const auto shape = queue_shape();
    json options = reduction();
    options["k"] = choose_.between(1, shape.filled - 1);
    return testing::loss_rows::in_a_queue("mean_shift", "prediction", "targets", shape, mode(),
                                          options);
  }
  loss_case relation_distillation() {
    json options = reduction();
    options["normalize"] = !choose_.one_in(3);
    options["temperature"] = temperature();
    options["teacher_temperature"] = temperature();
    const auto shape = queue_shape();
    return testing::loss_rows::in_a_queue("relation_distillation", "queries", "keys", shape, mode(),
                                          options);
  }
  loss_case soft_neighbour_contrast() {
    json options = reduction();
    options["normalize"] = !choose_.one_in(3);
    options["temperature"] = temperature();
    options["label_temperature"] = temperature();
    options["neighbour_weight"] = choose_.one_of({1.0, 0.0, 1.5});
    loss_case made("soft_neighbour_contrast", options);
    const index_t n = rows();
    const index_t width = cols();
    made.matrix("queries", n, width, mode()).matrix("keys", n, width);
    made.matrix("neighbours", n * choose_.between(1, 5), width);
    if (coin()) made.matrix("attention", n, width, mode());
    return weighted(made, n);
  }

  /// Overwrites elements or whole rows of the features.
  void add_extremes(conformance::test_case& given) {
    std::vector<std::string> names;
    for (const auto& [name, padding] : given.padding) {
      if (name != "keep") names.push_back(name);
    }
    for (std::int64_t left = choose_.between(1, 3); left > 0; --left) {
      auto& input = given.inputs.at(choose_.member_of(names));
      const index_t width = input.shape[1];
      const index_t row = choose_.between(0, input.shape[0] - 1);
      const index_t first = coin() ? 0 : choose_.between(0, width - 1);
      const index_t count = first == 0 ? width : 1;
      const double value = choose_.extreme();
      for (index_t j = first; j < first + count; ++j)
        input.data[static_cast<std::size_t>(row * width + j)] = value;
    }
  }

  choices& choose_;
};

}  // namespace fuzz
