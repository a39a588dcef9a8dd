// The table of augmentations. An entry has a policy, its inputs and its draws. Include a backend's
// headers before this one.
#pragma once

#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "feaug/augment/adversarial.hpp"
#include "feaug/augment/compose.hpp"
#include "feaug/augment/covariance_noise.hpp"
#include "feaug/augment/elementwise.hpp"
#include "feaug/augment/exchange_moments.hpp"
#include "feaug/augment/extrapolate.hpp"
#include "feaug/augment/interpolate.hpp"
#include "feaug/augment/l2_normalize.hpp"
#include "feaug/augment/latent_noise.hpp"
#include "feaug/augment/mask.hpp"
#include "feaug/augment/mean_neighbour.hpp"
#include "feaug/augment/mutual_neighbour.hpp"
#include "feaug/augment/noise.hpp"
#include "feaug/augment/one_of.hpp"
#include "feaug/augment/pseudo_neighbour.hpp"
#include "feaug/augment/random_neighbour.hpp"
#include "feaug/augment/slerp.hpp"
#include "feaug/augment/soft_neighbour.hpp"
#include "feaug/augment/variant.hpp"
#include "support/augmentation_case.hpp"
#include "support/exchange_means.hpp"
#include "support/operators/registry.hpp"
#include "support/operators/run_augmentation.hpp"

namespace testing {

/// A policy defined by a user: squares a random share of the features.
struct square_some {
  static constexpr std::string_view name = "square_some";
  using draw = feaug::uniform_draw;
  float share = 0.5F;
  template <class C>
  FEAUG_HD C forward(C x, draw d) const {
    return d.value < share ? x * x : x;
  }
  template <class C>
  FEAUG_HD C backward(C g, C x, draw d) const {
    return d.value < share ? 2 * x * g : g;
  }
};

template <class Backend, class T>
class augmentation_table {
  using inputs = conformance::policy_inputs<Backend, T>;
  using index_t = feaug::index_t;
  using C = feaug::compute_t<T>;
  static constexpr auto to_query = feaug::neighbour_fallback::query;
  static constexpr auto straight = feaug::neighbour_gradient::straight_through;

 public:
  std::vector<augmentation_case> rows;

  augmentation_table() {
    add_elementwise();
    add_mixes();
    add_row_mixes();
    add_parts();
    add_drawn();
    add_noises();
    add_steps();
    add_neighbours();
    add_soft_neighbours();
  }

 private:
  /// make(inputs) returns the policy.
  template <class Make>
  augmentation_case& bound(const std::string& name, const Make& make) {
    using traits =
        feaug::augmentation_traits<std::remove_cvref_t<decltype(make(std::declval<inputs&>()))>>;
    rows.push_back({.name = name,
                    .op = std::string(traits::name),
                    .run =
                        [make](conformance::arguments& given) {
                          return conformance::run_augmentation<Backend, T>(given, make);
                        },
                    .by_row = !traits::mixes_rows});
    return rows.back();
  }
  template <class Policy>
  augmentation_case& free(const std::string& name, const Policy& policy) {
    return bound(name, [policy](inputs& /*in*/) { return policy; });
  }

  void add_elementwise() {
    free("identity", feaug::identity{});
    free("square_some", square_some{.share = 0.3F});
    free("mask", feaug::mask{.keep_probability = 0.7F});
    free("mask, rescaled", feaug::mask{.keep_probability = 0.7F, .rescale = feaug::rescale::row});
    for (const index_t share : {0, 1, 2}) {
      const std::string of = " of " + std::to_string(share) + "/2";
      bound("fixed_count_mask" + of, [share](inputs& in) {
        return feaug::fixed_count_mask{.keep_count = share * in.cols() / 2,
                                       .rescale = feaug::rescale::row};
      });
      bound("block_mask" + of, [share](inputs& in) {
        return feaug::block_mask{.block_length = share * in.cols() / 2,
                                 .rescale = feaug::rescale::row};
      });
    }
    free("gaussian_noise", feaug::gaussian_noise{.scale = 0.3F});
    // By definition the norm is treated as a constant.
    free("gaussian_noise, relative",
         feaug::gaussian_noise{.scale = 0.3F, .relative_to = feaug::noise_scale::row_norm})
        .without_slopes();
    free("uniform_noise", feaug::uniform_noise{.scale = 0.3F});
  }

  void add_mixes() {
    using feaug::weight_distribution;
    for (const auto per : {feaug::draw_per::row, feaug::draw_per::call}) {
      const std::string each = per == feaug::draw_per::row ? ", a row" : ", a call";
      free("interpolate" + each, feaug::interpolate{.weight = 0.3F, .per = per});
      free(
          "interpolate, beta" + each,
          feaug::interpolate{.distribution = weight_distribution::beta, .alpha = 0.5F, .per = per});
      free(
          "extrapolate, uniform" + each,
          feaug::extrapolate{
              .distribution = weight_distribution::uniform, .low = 1.0F, .high = 2.0F, .per = per});
    }
    free("extrapolate, beta", feaug::extrapolate{.distribution = weight_distribution::beta});
    bound("interpolate, partner", [](inputs& in) {
      return feaug::with_partner(feaug::interpolate{.weight = 0.75F}, in.operand("partner"));
    });
  }

  void add_row_mixes() {
    using feaug::weight_distribution;
    const auto row_mix = [&](const std::string& name, const auto& mix) {
      free(name, mix).within(0.02);
    };
    row_mix("slerp", feaug::slerp{.weight = 0.3F});
    row_mix("slerp, beta", feaug::slerp{.distribution = weight_distribution::beta, .alpha = 0.5F});
    row_mix("slerp, uniform", feaug::slerp{.distribution = weight_distribution::uniform,
                                           .per = feaug::draw_per::call});
    row_mix("exchange_moments", feaug::exchange_moments{});
    row_mix("exchange_means", exchange_means{});
    row_mix("one_of row mixes", feaug::one_of({0.3F, 0.3F, 0.4F}, feaug::slerp{},
                                              feaug::exchange_moments{}, feaug::identity{}));
    row_mix("compose row mixes", feaug::compose(feaug::exchange_moments{.eps = 0.25},
                                                feaug::slerp{.weight = 0.7F}, feaug::mask{}));
    const auto partnered = [&](const std::string& name, const auto& mix) {
      bound(name + ", partner", [mix](inputs& in) {
        return feaug::with_partner(mix, in.operand("partner"));
      }).within(0.02);
    };
    partnered("slerp", feaug::slerp{.distribution = weight_distribution::uniform});
    partnered("exchange_moments", feaug::exchange_moments{});
    partnered("exchange_means", exchange_means{});
  }

  /// Policies composed of other policies.
  void add_parts() {
    const feaug::mask half{.keep_probability = 0.5F};
    free("compose", feaug::compose(feaug::mask{.keep_probability = 0.6F}, feaug::interpolate{},
                                   square_some{}, feaug::gaussian_noise{}));
    bound("compose by row", [](inputs& in) {
      return feaug::compose(
          feaug::fixed_count_mask{.keep_count = in.cols() / 2, .rescale = feaug::rescale::row},
          feaug::gaussian_noise{.relative_to = feaug::noise_scale::row_norm});
    }).without_slopes();
    free("one_of", feaug::one_of({0.3F, 0.3F, 0.4F}, half, square_some{}, feaug::uniform_noise{}));
    free("one_of a compose",
         feaug::one_of({0.3F, 0.7F}, feaug::compose(feaug::interpolate{}, square_some{}),
                       feaug::extrapolate{.weight = 1.5F}));
    free("compose of a one_of",
         feaug::compose(feaug::one_of({0.5F, 0.5F}, half, square_some{}), feaug::extrapolate{}));
    using held = std::variant<feaug::identity, feaug::interpolate, square_some>;
    free("variant", held(square_some{}));
    free("one_of a variant",
         feaug::one_of({0.5F, 0.5F}, held(square_some{}), feaug::interpolate{}));
  }

  /// Policies with given draws: the draw is made first and passed as an input.
  void add_drawn() {
    bound("mask_from", [](inputs& in) {
      const auto keep = in.template written<T>("keep", in.cols());
      feaug::draw(in.context(), feaug::fixed_count_mask{.keep_count = in.cols() / 2}, in.key(),
                  keep);
      return feaug::mask_from(keep, feaug::rescale::row);
    });
    bound("noise_from", [](inputs& in) {
      const auto epsilon = in.template written<T>("epsilon", in.cols());
      feaug::draw(in.context(), feaug::gaussian_noise{}, in.key(), epsilon);
      return feaug::noise_from(epsilon, 0.2F);
    });
    const auto weighted = [&](const std::string& name, const auto& mix) -> augmentation_case& {
      return bound(name, [mix](inputs& in) {
        const auto weights = in.template written<C>("weights");
        feaug::draw(in.context(), mix, in.key(), weights,
                    in.template written<index_t>("permutation"));
        return feaug::with_weights(mix, in.operand("partner"), weights);
      });
    };
    const auto beta = feaug::weight_distribution::beta;
    weighted("interpolate, weights", feaug::interpolate{.distribution = beta});
    weighted("slerp, weights", feaug::slerp{.distribution = beta}).within(0.02);
    bound("exchange_moments, drawn", [](inputs& in) {
      feaug::draw(in.context(), feaug::exchange_moments{}, in.key(),
                  in.template written<index_t>("permutation"));
      return feaug::exchange_moments{};
    }).within(0.02);
    bound("one_of_from", [](inputs& in) {
      const auto choice = in.template written<index_t>("choice");
      feaug::draw(in.context(), feaug::one_of({0.3F, 0.7F}, square_some{}, feaug::interpolate{}),
                  in.key(), choice);
      return feaug::one_of_from(choice, square_some{}, feaug::interpolate{});
    });
  }

  /// States with arbitrary numbers: a lower triangle, standard deviations.
  static feaug::running_covariance<Backend::space> covariance(inputs& in) {
    const index_t cols = in.cols();
    const auto triangle = [cols](index_t e) {
      return e % cols > e / cols ? 0.0 : 1.0 / static_cast<double>(1 + e % 5);
    };
    return {
        .mean = in.template numbers<double>("state.mean", triangle, cols),
        .covariance = in.template number_matrix<double>("state.covariance", cols, cols, triangle),
        .factor = in.template number_matrix<double>("state.factor", cols, cols, triangle),
        .count = seen(in)};
  }
  static feaug::running_variance<Backend::space> variance(inputs& in) {
    const auto numbers = [&in](const std::string& name) {
      return in.template numbers<double>(
          name, [](index_t j) { return 1.0 / static_cast<double>(1 + j % 5); }, in.cols());
    };
    return {.mean = numbers("state.mean"),
            .variance = numbers("state.variance"),
            .deviation = numbers("state.deviation"),
            .count = seen(in)};
  }
  static index_t* seen(inputs& in) {
    return in
        .template numbers<index_t>(
            "state.count", [](index_t) { return 9.0; }, 1)
        .data;
  }

  void add_noises() {
    bound("covariance_noise",
          [](inputs& in) { return feaug::covariance_noise(covariance(in), 0.5F); })
        .within(0.1)
        .large()
        .of_columns();
    bound("covariance_noise, independent",
          [](inputs& in) { return feaug::covariance_noise(variance(in), 0.5F); })
        .within(0.1)
        .large()
        .of_columns();
    const auto drawn = [&](const std::string& name, const auto& state_of) {
      bound(name,
            [state_of](inputs& in) {
              const auto epsilon = in.template written<T>("epsilon", in.cols());
              feaug::draw(in.context(), feaug::covariance_noise(state_of(in)), in.key(), epsilon);
              return feaug::noise_from(epsilon, 0.5F);
            })
          .within(0.1)
          .of_columns();
    };
    drawn("covariance_noise, drawn", [](inputs& in) { return covariance(in); });
    drawn("covariance_noise, independent, drawn", [](inputs& in) { return variance(in); });
    bound("one_of covariance_noise",
          [](inputs& in) {
            return feaug::one_of({0.4F, 0.6F}, feaug::covariance_noise(covariance(in), 0.5F),
                                 feaug::identity{});
          })
        .within(0.1)
        .of_columns();
    const feaug::latent_noise how{.least_log_variance = -1, .most_log_variance = 1};
    bound("latent_noise", [how](inputs& in) {
      return feaug::with_log_variance(how, in.operand("log_variance"));
    }).within(0.1);
    bound("latent_noise, drawn", [how](inputs& in) {
      return feaug::with_log_variance(how, in.operand("log_variance"), in.constant("epsilon"));
    }).within(0.1);
    bound("latent_noise of some rows", [](inputs& in) {
      const auto choice =
          in.template numbers<index_t>("choice", [](index_t i) { return i % 3 == 0 ? 1.0 : 0.0; });
      return feaug::one_of_from(
          choice, feaug::with_log_variance(feaug::latent_noise{}, in.operand("log_variance")),
          feaug::identity{});
    }).within(0.1);
  }

  /// Operators that are not policies.
  template <class Make>
  augmentation_case& steps(const std::string& name, const std::string& x, const std::string& op,
                           const Make& make) {
    rows.push_back({.name = name,
                    .op = op,
                    .run =
                        [make, x](conformance::arguments& given) {
                          return conformance::run_augmentation<Backend, T>(given, make, x);
                        },
                    .x = x});
    return rows.back();
  }

  void add_steps() {
    using passes = conformance::augmentation_passes<Backend, T>;
    steps("l2_normalize", "x", "l2_normalize", [](inputs& in) -> passes {
      return {
          .forward = [&in](const auto& x,
                           const auto& out) { feaug::l2_normalize(in.context(), x, out); },
          .backward = [&in](const auto& x,
                            const auto& g) { feaug::l2_normalize_backward(in.context(), x, g); }};
    }).exact("out");
    for (const auto norm : {feaug::adversarial_norm::l2, feaug::adversarial_norm::linf}) {
      for (const auto relative : {feaug::noise_scale::absolute, feaug::noise_scale::row_norm}) {
        for (const bool renormalize : {false, true}) {
          const auto through = renormalize ? feaug::adversarial_gradient::straight_through
                                           : feaug::adversarial_gradient::none;
          const feaug::adversarial_options how{.norm = norm,
                                               .step_size = 0.5,
                                               .radius = 0.75,
                                               .relative_to = relative,
                                               .renormalize = renormalize,
                                               .gradient = through};
          steps("adversarial_step " + std::to_string(rows.size()), "original", "adversarial_step",
                [how](inputs& in) -> passes {
                  return {.forward =
                              [&in, how, current = in.constant("current"),
                               gradient = in.constant("gradient")](const auto& x, const auto& out) {
                                feaug::adversarial_step(in.context(), x, current, gradient, how,
                                                        out);
                              },
                          .backward =
                              [&in, how](const auto& x, const auto& g) {
                                feaug::adversarial_backward(in.context(), x, g, how);
                              }};
                })
              .within(0.1)
              .exact("grad_original")
              .without_slopes();
        }
      }
    }
  }

  /// The row that `how` makes of k neighbours in a full or partly filled queue.
  template <class How>
  augmentation_case& of_neighbours(const std::string& name, const How& how, index_t k,
                                   index_t capacity = 41, index_t filled = 41) {
    return bound(name,
                 [how, k, capacity, filled](inputs& in) {
                   const auto own = in.template numbers<std::int64_t>(
                       "exclude_ids", [](index_t i) { return static_cast<double>(i % 3); });
                   return feaug::neighbour_from(
                       in.queue(capacity, filled), how,
                       {.exclude_ids = own,
                        .indices = in.template written<index_t>("indices"),
                        .rows_used = in.template written<index_t>("rows_used", k)});
                 })
        .of_columns()
        .without_slopes();
  }

  void add_neighbours() {
    using feaug::mean_neighbour;
    using feaug::median_neighbour;
    using feaug::mutual_neighbour_of;
    using feaug::pseudo_neighbour_of;
    using feaug::random_neighbour;
    for (const index_t filled : {41, 3, 0}) {
      const std::string of = " of " + std::to_string(filled);
      augmentation_case& mutual = of_neighbours(
          "mutual_neighbour, median" + of,
          mutual_neighbour_of<median_neighbour>{.of = {.fallback = to_query}}, 5, 41, filled);
      if (filled == 41) mutual.large();
      of_neighbours("pseudo_neighbour, mean" + of,
                    pseudo_neighbour_of<mean_neighbour>{
                        .of = {.k = 3, .gradient = straight, .fallback = to_query},
                        .weight = 0.5F,
                        .noise = 0.1F,
                        .normalize = true},
                    3, 41, filled);
    }
    // These depend on the type in the same way as the two above, so float is enough.
    if constexpr (std::is_same_v<T, float>) add_kinds_of_neighbours();
  }

  void add_kinds_of_neighbours() {
    using feaug::mean_neighbour;
    using feaug::mutual_neighbour_of;
    using feaug::pseudo_neighbour_of;
    using feaug::random_neighbour;
    using feaug::trimmed_mean_neighbour;
    const auto kinds = [&](const std::string& where, const feaug::similarity_range& range,
                           index_t filled) {
      const index_t capacity = 41;
      of_neighbours(
          "neighbour" + where,
          feaug::neighbour{.gradient = straight, .fallback = to_query, .similarity = range}, 1,
          capacity, filled);
      of_neighbours("mean_neighbour" + where,
                    mean_neighbour{.k = 4, .fallback = to_query, .similarity = range}, 4, capacity,
                    filled);
      of_neighbours("median_neighbour" + where,
                    feaug::median_neighbour{.k = 6, .fallback = to_query, .similarity = range}, 6,
                    capacity, filled);
      of_neighbours("random_neighbour" + where,
                    random_neighbour{.k = 3, .fallback = to_query, .similarity = range}, 3,
                    capacity, filled);
      of_neighbours(
          "mutual_neighbour, trimmed mean" + where,
          mutual_neighbour_of<trimmed_mean_neighbour>{
              .of = {.k = 7, .trim = 2, .fallback = to_query, .similarity = range}, .queries = 4},
          7, capacity, filled);
      of_neighbours(
          "pseudo_neighbour, random" + where,
          pseudo_neighbour_of<random_neighbour>{
              .of = {.k = 3, .gradient = straight, .fallback = to_query, .similarity = range},
              .weight = 0.3F,
              .noise = 0.2F,
              .normalize = true},
          3, capacity, filled);
      of_neighbours(
          "pseudo_neighbour, mutual mean" + where,
          pseudo_neighbour_of<mutual_neighbour_of<mean_neighbour>>{
              .of = {.of = {.k = 4, .fallback = to_query, .similarity = range}, .queries = 2}},
          4, capacity, filled);
    };
    kinds("", {}, 41);
    kinds(", in a range", {.floor = 0.1, .ceiling = 0.3}, 41);
    kinds(", few filled", {}, 5);
    kinds(", none filled", {}, 0);
    // More than one tile of a search on tensor cores.
    for (const double floor : {-2.0, 0.2, 0.45}) {
      of_neighbours("mean_neighbour, floor " + std::to_string(floor),
                    mean_neighbour{.k = 5, .fallback = to_query, .similarity = {.floor = floor}}, 5,
                    200, 190);
    }
    of_neighbours(
        "mutual_neighbour, mean",
        mutual_neighbour_of<mean_neighbour>{
            .of = {.k = 5, .fallback = to_query, .similarity = {.ceiling = 0.3}}, .queries = 2},
        5, 200, 190);

    const random_neighbour random{.k = 4, .fallback = to_query};
    const pseudo_neighbour_of<random_neighbour> how = {
        .of = random, .weight = 0.4F, .noise = 0.3F, .normalize = true};
    bound("pseudo_neighbour, drawn", [random, how](inputs& in) {
      const auto choice = in.template written<float>("choice");
      feaug::draw(in.context(), random, in.key().streams_later(1), choice);
      const feaug::vector_view<const float, Backend::space> given = choice;
      const auto policy = feaug::neighbour_from(in.queue(20, 20), how);
      return feaug::with_noise(feaug::with_choice(policy, given), in.constant("epsilon"));
    }).of_columns();
    const mutual_neighbour_of<mean_neighbour> mutual = {
        .of = {.gradient = straight, .fallback = to_query}, .queries = 2};
    bound("one_of neighbours",
          [how, mutual](inputs& in) {
            const auto queue = in.queue(20, 20);
            return feaug::one_of(
                {0.3F, 0.3F, 0.4F}, feaug::neighbour_from(queue, how),
                feaug::neighbour_from(queue, mutual),
                feaug::compose(feaug::identity{},
                               feaug::neighbour_from(
                                   queue, pseudo_neighbour_of<mutual_neighbour_of<mean_neighbour>>{
                                              .of = mutual})));
          })
        .of_columns()
        .without_slopes();
  }

  void add_soft_neighbours() {
    const auto how = [](index_t k) -> feaug::soft_neighbour {
      return {.k = k, .temperature = 0.2, .fallback = to_query};
    };
    const double share = std::is_same_v<T, double> ? 0.01 : 0.02;
    bound("soft_neighbour, matrix",
          [how](inputs& in) {
            return feaug::soft_neighbour_from(in.constant("support", 41, in.cols()), how(3));
          })
        .within(share)
        .of_columns();
    for (const index_t filled : {41, 5, 2, 0}) {
      augmentation_case& made =
          bound("soft_neighbour, queue of " + std::to_string(filled),
                [how, filled](inputs& in) {
                  const auto own = in.template numbers<std::int64_t>(
                      "exclude_ids", [](index_t i) { return static_cast<double>(i % 4); });
                  return feaug::soft_neighbour_from(
                      in.queue(41, filled), how(6),
                      {.exclude_ids = own, .indices = in.template written<index_t>("indices", 6)});
                })
              .within(share)
              .of_columns();
      if (filled == 41) made.large();
    }
    bound("one_of soft_neighbour",
          [how](inputs& in) {
            return feaug::one_of({0.5F, 0.5F}, feaug::identity{},
                                 feaug::soft_neighbour_from(
                                     in.queue(41, 41), how(3),
                                     {.indices = in.template written<index_t>("indices", 3)}));
          })
        .within(share)
        .of_columns();
  }
};

}  // namespace testing
