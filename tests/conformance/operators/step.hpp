// step: every architecture with every augmentation in the cases.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "feaug/augment/elementwise.hpp"
#include "feaug/augment/mask.hpp"
#include "feaug/augment/neighbour.hpp"
#include "feaug/step/step.hpp"
#include "operators/linear_predictor.hpp"
#include "support/operators/operand_input.hpp"
#include "support/operators/queue_memory.hpp"
#include "support/operators/registry.hpp"

namespace conformance {

template <class Backend, class T>
feaug::step_options<T, Backend::space> read_step_options(arguments& given) {
  feaug::step_options<T, Backend::space> options;
  options.architecture = given.choice<feaug::architecture>(
      "architecture", "parallel_predictor",
      {{"basic", feaug::architecture::basic},
       {"pre_predictor", feaug::architecture::pre_predictor},
       {"post_predictor", feaug::architecture::post_predictor},
       {"parallel_predictor", feaug::architecture::parallel_predictor}});
  options.paradigm =
      given.choice<feaug::paradigm>("paradigm", "discrimination",
                                    {{"similarity", feaug::paradigm::similarity},
                                     {"discrimination", feaug::paradigm::discrimination}});
  options.sample_reduction = given.choice<feaug::sample_reduce>(
      "sample_reduction", "mean",
      {{"mean", feaug::sample_reduce::mean}, {"sum", feaug::sample_reduce::sum}});
  options.symmetric = given.option("symmetric", true);
  options.samples = given.option("samples", 1);
  options.temperature = given.option("temperature", options.temperature);
  return options;
}

/// The masks of a case, 2 × K × N × D, as one policy per (direction, sample).
template <class Backend, class T>
class case_masks {
 public:
  case_masks(arguments& given, feaug::index_t samples, const std::vector<feaug::index_t>& features)
      : memory_(rounded<T>(given.input("keep", 4))),
        samples_(samples),
        rows_(features.at(0)),
        cols_(features.at(1)) {
    const std::vector<feaug::index_t> wanted = {2, samples, rows_, cols_};
    if (given.input("keep").shape != wanted) {
      throw std::runtime_error("inputs.keep has shape " + shape_text(given.input("keep").shape) +
                               ", wanted " + shape_text(wanted));
    }
  }

  [[nodiscard]] auto policy(int direction, int sample) {
    const feaug::index_t number = direction * samples_ + sample;
    return feaug::mask_from(feaug::matrix_view<const T, Backend::space>(
        memory_.data() + number * rows_ * cols_, rows_, cols_));
  }

 private:
  typename Backend::template array<T> memory_;
  feaug::index_t samples_;
  feaug::index_t rows_;
  feaug::index_t cols_;
};

/// Runs the step with one kind of augmentation and returns its results.
template <class Backend, class T, class Augmentation>
results step_results(arguments& given, const feaug::step_options<T, Backend::space>& options,
                     operand_input<Backend, T>& z1, operand_input<Backend, T>& z2,
                     const Augmentation& augmentation) {
  const tensor& weight = given.input("predictor", 2);
  linear_predictor<Backend, T> predictor(rounded<T>(weight), weight.shape[0]);
  const auto targets = given.option("stop_target", true) ? feaug::target_gradient::stopped
                                                         : feaug::target_gradient::flowing;
  typename Backend::context context;
  using C = feaug::compute_t<T>;
  typename Backend::template array<C> loss(unwritten<C>(1));
  feaug::step(context, options, z1.operand(), z2.operand(), predictor, augmentation,
              feaug::random_key{}, feaug::vector_view<C, Backend::space>(loss.data(), 1), targets);
  results got;
  got.add("loss", {}, loss.to_host());
  z1.add_gradient(got);
  z2.add_gradient(got);
  if (!given.stopped("predictor")) got.add("grad_predictor", weight.shape, predictor.gradient());
  return got;
}

template <class Backend, class T>
results run_step(arguments& given) {
  operand_input<Backend, T> z1(given, "z1");
  operand_input<Backend, T> z2(given, "z2");
  const auto options = read_step_options<Backend, T>(given);
  const auto augmentation = given.option<std::string>("augmentation", "none");
  // Cases always contain all inputs, also unused ones.
  given.ignore("keep");
  given.ignore("support");
  if (augmentation == "none") {
    return step_results(given, options, z1, z2, feaug::identity{});
  }
  if (augmentation == "mask") {
    case_masks<Backend, T> masks(given, options.samples, z1.input().shape);
    return step_results(given, options, z1, z2,
                        [&](int direction, int sample) { return masks.policy(direction, sample); });
  }
  if (augmentation == "neighbour") {
    const auto gradient = given.choice<feaug::neighbour_gradient>(
        "neighbour_gradient", "none",
        {{"none", feaug::neighbour_gradient::none},
         {"straight_through", feaug::neighbour_gradient::straight_through}});
    queue_memory<Backend, T> queue(given.input("support", 2));
    return step_results(
        given, options, z1, z2,
        feaug::neighbour_from(queue.view(), feaug::neighbour{.gradient = gradient}));
  }
  throw std::runtime_error("option augmentation: no value \"" + augmentation + "\"");
}

template <class Backend, class T>
void add_step(registry& operators) {
  operators["step"] = run_step<Backend, T>;
}

}  // namespace conformance
