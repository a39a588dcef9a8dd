// step: the architectures with a linear predictor.
#include <stdexcept>
#include <string>
#include <vector>

#include "cpu_operators.hpp"
#include "feaug/augment/augmentation.hpp"
#include "feaug/augment/elementwise.hpp"
#include "feaug/augment/mask.hpp"
#include "feaug/augment/neighbour.hpp"
#include "feaug/step/step.hpp"
#include "matrix.hpp"

namespace conformance::cpu {
namespace {

/// h(x) = x · Wᵀ, in plain loops.
template <class T>
class linear_predictor {
 public:
  explicit linear_predictor(const tensor& weight) : weight_(weight), gradient_(weight_.rows, weight_.cols) {
    gradient_.data.assign(gradient_.data.size(), T{0});
  }

  void forward(feaug::matrix_view<const T> input, feaug::matrix_view<T> output) {
    for (index_t i = 0; i < input.rows(); ++i) {
      for (index_t o = 0; o < output.cols(); ++o) {
        double sum = 0;
        for (index_t d = 0; d < input.cols(); ++d) {
          sum += static_cast<double>(input(i, d)) * static_cast<double>(weight_.view()(o, d));
        }
        output(i, o) = static_cast<T>(sum);
      }
    }
  }

  void backward(feaug::matrix_view<const T> input, feaug::matrix_view<const T> output_gradient,
                feaug::matrix_view<T> input_gradient) {
    for (index_t i = 0; i < input.rows(); ++i) {
      for (index_t d = 0; d < input.cols(); ++d) {
        double sum = 0;
        for (index_t o = 0; o < output_gradient.cols(); ++o) {
          sum += static_cast<double>(output_gradient(i, o)) * static_cast<double>(weight_.view()(o, d));
          gradient_.view()(o, d) += output_gradient(i, o) * input(i, d);
        }
        input_gradient(i, d) = static_cast<T>(sum);
      }
    }
  }

  void report(results& out) const { out.add("grad_predictor", {weight_.rows, weight_.cols}, gradient_.data); }

 private:
  matrix<T> weight_;
  matrix<T> gradient_;
};

/// keep[direction][sample] of a 2 × K × N × D tensor.
template <class T>
std::vector<matrix<T>> masks_of(const tensor& keep) {
  std::vector<matrix<T>> masks;
  const index_t rows = keep.shape.at(2);
  const index_t cols = keep.shape.at(3);
  for (index_t part = 0; part < keep.shape[0] * keep.shape[1]; ++part) {
    masks.emplace_back(rows, cols);
    for (index_t i = 0; i < rows * cols; ++i) {
      masks.back().data[static_cast<std::size_t>(i)] = static_cast<T>(keep.data[static_cast<std::size_t>(part * rows * cols + i)]);
    }
  }
  return masks;
}

template <class T>
feaug::step_options<T> options_of(arguments& given) {
  using feaug::architecture;
  using feaug::paradigm;
  using feaug::sample_reduce;
  return {.architecture = given.choice<architecture>("architecture", "basic",
                                                     {{"basic", architecture::basic},
                                                      {"pre_predictor", architecture::pre_predictor},
                                                      {"post_predictor", architecture::post_predictor},
                                                      {"parallel_predictor", architecture::parallel_predictor}}),
          .paradigm = given.choice<paradigm>(
              "paradigm", "similarity", {{"similarity", paradigm::similarity}, {"discrimination", paradigm::discrimination}}),
          .temperature = given.option<double>("temperature", 0.1),
          .samples = given.option<int>("samples", 1),
          .sample_reduction = given.choice<sample_reduce>("sample_reduction", "mean",
                                                          {{"mean", sample_reduce::mean}, {"sum", sample_reduce::sum}}),
          .symmetric = given.option<bool>("symmetric", true)};
}

template <class T>
results step(arguments& given) {
  variable<T> z1(given, "z1");
  variable<T> z2(given, "z2");
  linear_predictor<T> h(given.input("predictor", 2));
  const feaug::step_options<T> options = options_of<T>(given);
  std::vector<matrix<T>> masks = masks_of<T>(given.input("keep", 4));
  matrix<T> support = constant<T>(given, "support");
  index_t cursor = 0;
  index_t size = support.rows;
  const feaug::support_queue<T> queue{.storage = support.view(), .cursor = &cursor, .size = &size, .normalize = false};
  const auto targets = given.option<bool>("stop_target", true) ? feaug::target_gradient::stopped
                                                               : feaug::target_gradient::flowing;
  const auto through = given.choice<feaug::neighbour_gradient>(
      "neighbour_gradient", "none",
      {{"none", feaug::neighbour_gradient::none}, {"straight_through", feaug::neighbour_gradient::straight_through}});
  feaug::cpu_context ctx{.threads = 2};
  const auto run = [&](const auto& augmentation) {
    return feaug::step(ctx, options, z1.operand(), z2.operand(), h, augmentation, {}, targets);
  };
  T loss{};
  const auto augmentation = given.option<std::string>("augmentation", "none");
  if (augmentation == "none") {
    loss = run(feaug::keep_features{});
  } else if (augmentation == "mask") {
    loss = run([&](int direction, int sample) {
      return feaug::drawn_mask(masks.at(static_cast<std::size_t>(direction * options.samples + sample)).view());
    });
  } else if (augmentation == "neighbour") {
    loss = run(feaug::neighbour_from(queue, {.gradient = through}));
  } else {
    throw std::runtime_error("option augmentation: no value \"" + augmentation + "\"");
  }
  results all;
  all.add("loss", {}, std::vector<T>{loss});
  z1.report(all);
  z2.report(all);
  h.report(all);
  return all;
}

}  // namespace

template <class T>
void add_step(registry& operators) {
  operators["step"] = step<T>;
}

template void add_step<double>(registry&);
template void add_step<float>(registry&);

}  // namespace conformance::cpu
