// Every operator can be captured in a CUDA graph; the graph gives the same results as the call.
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "feaug/feaug.cuh"
#include "support/sanitizer.hpp"

namespace capture_test {

using device_test::device_array;
using device_test::device_copy;
using device_test::succeed;
using feaug::index_t;
using testing::test_matrix;

namespace {

constexpr index_t rows = 6;
constexpr index_t cols = 9;
constexpr index_t capacity = 10;

/// Inputs and all outputs of the operators. Outputs are reset to NaN before every run.
class memory {
 public:
  const device_copy<float> x{test_matrix<float>::normal(rows, cols, 1, 1)};
  const device_copy<float> y{test_matrix<float>::normal(rows, cols, 2)};
  const device_copy<float> out{test_matrix<float>(rows, cols)};
  const device_copy<float> dx{test_matrix<float>(rows, cols)};
  const device_copy<float> dy{test_matrix<float>(rows, cols)};
  const device_array<float> numbers{std::vector<float>(2 * rows)};
  const device_array<float> statistics{std::vector<float>(2 * rows, 1)};      // input and output
  const device_array<double> potentials{std::vector<double>(2 * cols, 0.5)};  // input and output
  const device_array<double> diagnostics{std::vector<double>(5)};
  const device_array<float> one{std::vector<float>{1}};
  const device_array<index_t> labels{std::vector<index_t>{0, 1, 0, 1, 2, 0}};
  const device_array<index_t> slots{std::vector<index_t>(rows)};
  const device_array<index_t> counters{std::vector<index_t>{0, 0}};
  const device_array<std::uint64_t> step{std::vector<std::uint64_t>{3}};
  const device_copy<float> storage{test_matrix<float>::normal(capacity, cols, 3)};
  /// A running covariance: mean, Σ and its factor, one after the other.
  const device_array<double> moments{std::vector<double>(cols + 2 * cols * cols)};
  const device_array<index_t> seen{std::vector<index_t>{0}};

  [[nodiscard]] auto both() const {
    return std::pair{feaug::differentiable(x.view(), dx.view()),
                     feaug::differentiable(y.view(), dy.view())};
  }
  [[nodiscard]] feaug::device_vector<float> loss() const { return {numbers.data(), 1}; }
  [[nodiscard]] feaug::device_vector<const float> cotangent() const { return {one.data(), 1}; }
  [[nodiscard]] feaug::device_vector<const float> statistics_of(index_t count) const {
    return {statistics.data(), count};
  }
  [[nodiscard]] feaug::device_support_queue<float> queue() const {
    return {.storage = storage.view(), .cursor = counters.data(), .size = counters.data() + 1};
  }

  [[nodiscard]] feaug::device_running_covariance covariance() const {
    double* const begin = moments.data();
    return {.mean = {begin, cols},
            .covariance = {begin + cols, cols, cols},
            .factor = {begin + cols + cols * cols, cols, cols},
            .count = seen.data()};
  }

  void scramble() const {
    const auto nan = [](void* values, std::size_t bytes) {
      succeed(cudaMemsetAsync(values, 0xFF, bytes, nullptr));
    };
    nan(out.view().data, rows * cols * sizeof(float));
    nan(dx.view().data, rows * cols * sizeof(float));
    nan(dy.view().data, rows * cols * sizeof(float));
    nan(numbers.data(), numbers.size() * sizeof(float));
    nan(diagnostics.data(), diagnostics.size() * sizeof(double));
    nan(slots.data(), slots.size() * sizeof(index_t));
    nan(moments.data(), moments.size() * sizeof(double));
    const index_t none = 0;
    succeed(cudaMemcpy(seen.data(), &none, sizeof none, cudaMemcpyHostToDevice));
    const index_t filled[2] = {2, 7};
    succeed(cudaMemcpy(counters.data(), filled, sizeof filled, cudaMemcpyHostToDevice));
    const std::uint64_t third = 3;
    succeed(cudaMemcpy(step.data(), &third, sizeof third, cudaMemcpyHostToDevice));
    succeed(cudaDeviceSynchronize());
  }

  /// All outputs as bytes, so that NaN equals NaN.
  [[nodiscard]] std::vector<unsigned char> state() const {
    std::vector<unsigned char> all;
    const auto add = [&all](const auto& values) {
      const auto* begin = reinterpret_cast<const unsigned char*>(values.data());
      all.insert(all.end(), begin, begin + values.size() * sizeof(values[0]));
    };
    add(out.host().memory());
    add(dx.host().memory());
    add(dy.host().memory());
    add(storage.host().memory());
    add(numbers.to_host());
    add(diagnostics.to_host());
    add(slots.to_host());
    add(counters.to_host());
    add(moments.to_host());
    add(seen.to_host());
    add(step.to_host());
    return all;
  }
};

struct named_call {
  std::string name;
  std::function<void(feaug::cuda_context&, const memory&)> run;
};

template <class P>
void add_augmentation(std::vector<named_call>& calls, const std::string& name, const P& make) {
  calls.push_back({name, [make](feaug::cuda_context& ctx, const memory& m) {
                     const feaug::random_key key = {.seed = 5, .device_step = m.step.data()};
                     feaug::augment(ctx, make(m), m.x.const_view(), key, m.out.view());
                   }});
  calls.push_back({name + " backward", [make](feaug::cuda_context& ctx, const memory& m) {
                     const feaug::random_key key = {.seed = 5, .device_step = m.step.data()};
                     feaug::augment_backward(ctx, make(m), m.both().first, key, m.y.const_view());
                   }});
}

std::vector<named_call> all_calls() {
  using ctx_type = feaug::cuda_context;
  std::vector<named_call> calls;
  const auto policy = [&](const std::string& name, const auto& value) {
    add_augmentation(calls, name, [value](const memory&) { return value; });
  };
  policy("mask", feaug::mask{.keep_probability = 0.5F, .rescale = feaug::rescale::row});
  policy("fixed_count_mask", feaug::fixed_count_mask{.keep_count = 4});
  policy("block_mask", feaug::block_mask{.block_length = 3});
  policy("gaussian_noise", feaug::gaussian_noise{.relative_to = feaug::noise_scale::row_norm});
  policy("uniform_noise", feaug::uniform_noise{});
  policy("interpolate", feaug::interpolate{.distribution = feaug::weight_distribution::beta});
  policy("extrapolate", feaug::extrapolate{.weight = 1.5F});
  policy("slerp", feaug::slerp{.distribution = feaug::weight_distribution::uniform});
  policy("exchange_moments", feaug::exchange_moments{});
  policy("compose", feaug::compose(feaug::mask{}, feaug::gaussian_noise{}));
  policy("one_of", feaug::one_of({0.5F, 0.5F}, feaug::mask{}, feaug::interpolate{}));
  policy("variant", std::variant<feaug::mask, feaug::uniform_noise>(feaug::uniform_noise{}));
  add_augmentation(calls, "partner", [](const memory& m) {
    return feaug::with_partner(feaug::interpolate{}, m.both().second);
  });
  add_augmentation(calls, "partner of slerp", [](const memory& m) {
    return feaug::with_partner(feaug::slerp{}, m.both().second);
  });
  add_augmentation(calls, "neighbour", [](const memory& m) {
    return feaug::neighbour_from(m.queue(),
                                 {.gradient = feaug::neighbour_gradient::straight_through});
  });
  calls.push_back({"covariance_noise", [](ctx_type& ctx, const memory& m) {
                     const feaug::random_key key = {.seed = 5, .device_step = m.step.data()};
                     feaug::update_covariance(ctx, m.covariance(), m.x.const_view());
                     feaug::update_covariance(ctx, m.covariance(), m.y.const_view());
                     const auto noise = feaug::covariance_noise(m.covariance());
                     feaug::augment(ctx, noise, m.x.const_view(), key, m.out.view());
                     feaug::augment_backward(ctx, noise, m.both().first, key, m.y.const_view());
                   }});
  add_augmentation(calls, "latent_noise", [](const memory& m) {
    return feaug::with_log_variance(feaug::latent_noise{}, m.both().second);
  });
  calls.push_back({"adversarial_step", [](ctx_type& ctx, const memory& m) {
                     feaug::adversarial_step(ctx, m.x.const_view(), m.x.const_view(),
                                             m.y.const_view(), {.renormalize = true}, m.out.view());
                     feaug::adversarial_backward(ctx, m.both().first, m.y.const_view());
                   }});
  add_augmentation(calls, "mutual trimmed_mean_neighbour", [](const memory& m) {
    using how = feaug::mutual_neighbour_of<feaug::trimmed_mean_neighbour>;
    return feaug::neighbour_from(
        m.queue(), how{.of = {.fallback = feaug::neighbour_fallback::query}, .queries = 2},
        {.indices = {m.slots.data(), rows}});
  });
  add_augmentation(calls, "pseudo_neighbour of random_neighbour", [](const memory& m) {
    using how = feaug::pseudo_neighbour_of<feaug::random_neighbour>;
    return feaug::neighbour_from(
        m.queue(), how{.of = {.k = 3}, .weight = 0.5F, .noise = 0.1F, .normalize = true});
  });
  add_augmentation(calls, "soft_neighbour",
                   [](const memory& m) { return feaug::soft_neighbour_from(m.queue()); });
  calls.push_back({"l2_normalize", [](ctx_type& ctx, const memory& m) {
                     feaug::l2_normalize(ctx, m.x.const_view(), m.out.view());
                     feaug::l2_normalize_backward(ctx, m.both().first, m.y.const_view());
                   }});
  calls.push_back({"enqueue", [](ctx_type& ctx, const memory& m) {
                     feaug::enqueue(ctx, m.queue(), m.x.const_view());
                     feaug::advance_step(ctx, m.step.data());
                   }});
  calls.push_back(
      {"nearest and gather", [](ctx_type& ctx, const memory& m) {
         feaug::nearest(ctx, m.queue(), m.x.const_view(), {.indices = {m.slots.data(), rows, 1}});
         feaug::gather(ctx, m.queue(), feaug::device_vector<const index_t>(m.slots.data(), rows),
                       {.values = m.out.view()});
       }});
  calls.push_back({"nearest of a matrix", [](ctx_type& ctx, const memory& m) {
                     feaug::nearest(ctx, m.y.const_view(), m.x.const_view(),
                                    {.values = m.out.view()});
                   }});
  const auto loss = [&](const std::string& name, index_t statistics, const auto& forward,
                        const auto& backward, const auto& with_gradients) {
    calls.push_back({name, [forward](ctx_type& ctx, const memory& m) {
                       forward(ctx, m.x.const_view(), m.y.const_view(), m.loss());
                     }});
    calls.push_back({name + "_backward", [backward, statistics](ctx_type& ctx, const memory& m) {
                       const auto [a, b] = m.both();
                       backward(ctx, a, b, m.statistics_of(statistics), m.cotangent());
                     }});
    calls.push_back({name + "_with_gradients", [with_gradients](ctx_type& ctx, const memory& m) {
                       const auto [a, b] = m.both();
                       with_gradients(ctx, a, b, m.loss());
                     }});
  };
  loss(
      "info_nce", rows, [](auto& ctx, const auto&... x) { feaug::info_nce(ctx, x...); },
      [](auto& ctx, const auto&... x) { feaug::info_nce_backward(ctx, x...); },
      [](auto& ctx, const auto&... x) { feaug::info_nce_with_gradients(ctx, x...); });
  loss(
      "symmetric_info_nce", 2 * rows,
      [](auto& ctx, const auto&... x) { feaug::symmetric_info_nce(ctx, x...); },
      [](auto& ctx, const auto&... x) { feaug::symmetric_info_nce_backward(ctx, x...); },
      [](auto& ctx, const auto&... x) { feaug::symmetric_info_nce_with_gradients(ctx, x...); });
  loss(
      "nt_xent", 2 * rows, [](auto& ctx, const auto&... x) { feaug::nt_xent(ctx, x...); },
      [](auto& ctx, const auto&... x) { feaug::nt_xent_backward(ctx, x...); },
      [](auto& ctx, const auto&... x) { feaug::nt_xent_with_gradients(ctx, x...); });
  loss(
      "negative_cosine", 0, [](auto& ctx, const auto&... x) { feaug::negative_cosine(ctx, x...); },
      [](auto& ctx, const auto& a, const auto& b, const auto& /*none*/, const auto& cotangent) {
        feaug::negative_cosine_backward(ctx, a, b, cotangent);
      },
      [](auto& ctx, const auto&... x) { feaug::negative_cosine_with_gradients(ctx, x...); });
  loss(
      "kl_to_standard_normal", 0,
      [](auto& ctx, const auto&... x) { feaug::kl_to_standard_normal(ctx, x...); },
      [](auto& ctx, const auto& a, const auto& b, const auto& /*none*/, const auto& cotangent) {
        feaug::kl_to_standard_normal_backward(ctx, a, b, cotangent);
      },
      [](auto& ctx, const auto&... x) { feaug::kl_to_standard_normal_with_gradients(ctx, x...); });
  loss(
      "sigmoid", 0, [](auto& ctx, const auto&... x) { feaug::sigmoid(ctx, x...); },
      [](auto& ctx, const auto& a, const auto& b, const auto& /*none*/, const auto& cotangent) {
        feaug::sigmoid_backward(ctx, a, b, cotangent);
      },
      [](auto& ctx, const auto&... x) { feaug::sigmoid_with_gradients(ctx, x...); });
  loss(
      "barlow_twins", 0, [](auto& ctx, const auto&... x) { feaug::barlow_twins(ctx, x...); },
      [](auto& ctx, const auto& a, const auto& b, const auto& /*none*/, const auto& cotangent) {
        feaug::barlow_twins_backward(ctx, a, b, cotangent);
      },
      [](auto& ctx, const auto&... x) { feaug::barlow_twins_with_gradients(ctx, x...); });
  loss(
      "vicreg", 0, [](auto& ctx, const auto&... x) { feaug::vicreg(ctx, x...); },
      [](auto& ctx, const auto& a, const auto& b, const auto& /*none*/, const auto& cotangent) {
        feaug::vicreg_backward(ctx, a, b, cotangent);
      },
      [](auto& ctx, const auto&... x) { feaug::vicreg_with_gradients(ctx, x...); });
  loss(
      "hypersphere", 0, [](auto& ctx, const auto&... x) { feaug::hypersphere(ctx, x...); },
      [](auto& ctx, const auto& a, const auto& b, const auto& /*none*/, const auto& cotangent) {
        feaug::hypersphere_backward(ctx, a, b, cotangent);
      },
      [](auto& ctx, const auto&... x) { feaug::hypersphere_with_gradients(ctx, x...); });
  calls.push_back({"supervised_contrastive", [](ctx_type& ctx, const memory& m) {
                     const feaug::device_vector<const index_t> labels(m.labels.data(), rows);
                     feaug::supervised_contrastive_with_gradients(ctx, m.both().first, labels,
                                                                  m.loss());
                     feaug::supervised_contrastive_backward(ctx, m.both().second, labels,
                                                            m.statistics_of(rows), m.cotangent());
                   }});
  calls.push_back({"sinkhorn", [](ctx_type& ctx, const memory& m) {
                     feaug::sinkhorn(ctx, m.x.const_view(), m.out.view());
                     feaug::sinkhorn_potentials(ctx, m.x.const_view(), {m.potentials.data(), cols},
                                                {.iterations = 0});
                   }});
  calls.push_back(
      {"assignment_loss", [](ctx_type& ctx, const memory& m) {
         const feaug::device_vector<double> potentials(m.potentials.data(), cols);
         feaug::assignment_loss_with_gradients(
             ctx, m.both().first, {.scores = m.y.view(), .potentials = potentials}, m.loss());
         feaug::assignment_loss_backward(
             ctx, m.both().second, {.scores = m.x.view(), .potentials = potentials}, m.cotangent());
       }});
  calls.push_back({"swapped_assignment", [](ctx_type& ctx, const memory& m) {
                     feaug::swapped_assignment(ctx, m.x.const_view(), m.y.const_view(), m.loss());
                   }});
  calls.push_back({"swapped_assignment_backward", [](ctx_type& ctx, const memory& m) {
                     const auto [a, b] = m.both();
                     feaug::swapped_assignment_backward(
                         ctx, a, b, feaug::device_vector<double>(m.potentials.data(), 2 * cols),
                         m.cotangent());
                   }});
  calls.push_back({"swapped_assignment_with_gradients", [](ctx_type& ctx, const memory& m) {
                     const auto [a, b] = m.both();
                     feaug::swapped_assignment_with_gradients(ctx, a, b, m.loss());
                   }});
  calls.push_back({"diagnostics", [](ctx_type& ctx, const memory& m) {
                     const auto one = [&](index_t at) {
                       return feaug::device_vector<double>(m.diagnostics.data() + at, 1);
                     };
                     feaug::alignment(ctx, m.x.const_view(), m.y.const_view(), one(0));
                     feaug::uniformity(ctx, m.x.const_view(), one(1));
                     feaug::feature_deviation(ctx, m.x.const_view(), one(2));
                     const feaug::device_matrix<const index_t> neighbours(m.labels.data(), rows, 1);
                     const feaug::device_vector<const index_t> labels(m.labels.data(), rows);
                     feaug::neighbour_accuracy(ctx, neighbours, labels, labels, one(3));
                     feaug::effective_rank(ctx, m.x.const_view(), one(4));
                   }});
  calls.push_back({"momentum_update", [](ctx_type& ctx, const memory& m) {
                     const std::vector<feaug::device_momentum_pair<float>> pairs = {
                         {m.out.view(), m.x.const_view()}};
                     feaug::momentum_update(ctx, pairs, 0.0);
                     feaug::momentum_update(ctx, pairs, m.cotangent());  // momentum 1: no change
                   }});
  calls.push_back({"hard_negative_info_nce", [](ctx_type& ctx, const memory& m) {
                     const feaug::device_synthetic_negatives<float> synthesis = {
                         .hardest = 5,
                         .counts = {.interpolated = 2, .mixed = 2, .noisy = 1},
                         .key = {.seed = 5, .device_step = m.step.data()}};
                     const feaug::device_info_nce_options<float> options = {
                         .in_batch_negatives = false,
                         .negatives = feaug::stop_gradient(m.storage.const_view())};
                     const auto [a, b] = m.both();
                     feaug::hard_negative_info_nce_with_gradients(
                         ctx, a, feaug::stop_gradient(b.value), synthesis, m.loss(), options);
                     feaug::hard_negative_info_nce_backward(ctx, feaug::stop_gradient(a.value), b,
                                                            synthesis, m.statistics_of(rows),
                                                            m.cotangent(), options);
                     feaug::advance_step(ctx, m.step.data());
                   }});
  calls.push_back({"mean_shift", [](ctx_type& ctx, const memory& m) {
                     const feaug::device_matrix<index_t> slots(m.slots.data(), rows, 1);
                     feaug::mean_shift(ctx, m.x.const_view(), m.y.const_view(), m.queue(), m.loss(),
                                       {.k = 1}, slots);
                     feaug::mean_shift_backward(ctx, m.both().first, m.queue(), slots,
                                                m.cotangent(), {.k = 1});
                     feaug::mean_shift_with_gradients(ctx, m.both().second, m.x.const_view(),
                                                      m.queue(), m.loss());
                   }});
  calls.push_back(
      {"relation_distillation", [](ctx_type& ctx, const memory& m) {
         const auto [a, b] = m.both();
         feaug::relation_distillation(ctx, a.value, b.value, m.queue(), m.loss());
         feaug::relation_distillation_backward(ctx, a, b.value, m.queue(), m.cotangent());
         feaug::relation_distillation_with_gradients(ctx, b, a.value, m.queue(), m.loss());
       }});
  calls.push_back(
      {"soft_neighbour_contrast", [](ctx_type& ctx, const memory& m) {
         const auto [a, b] = m.both();
         feaug::soft_neighbour_contrast(ctx, a.value, b.value, b.value, m.loss());
         feaug::soft_neighbour_contrast_backward(ctx, a, b.value, b.value, m.cotangent());
         feaug::soft_neighbour_contrast_with_gradients(ctx, feaug::stop_gradient(a.value), a.value,
                                                       a.value, m.loss(), {.attention = b});
       }});
  calls.push_back({"nt_xent with weights", [](ctx_type& ctx, const memory& m) {
                     const auto [a, b] = m.both();
                     feaug::nt_xent_with_gradients(ctx, a, b, m.loss(),
                                                   {.decoupled = true, .positive_weighting = 0.5});
                   }});
  calls.push_back({"masked_prediction", [](ctx_type& ctx, const memory& m) {
                     const feaug::random_key key = {.seed = 5, .device_step = m.step.data()};
                     const auto [a, b] = m.both();
                     const feaug::fixed_count_mask mask{.keep_count = 4};
                     feaug::masked_prediction_with_gradients(ctx, a, feaug::stop_gradient(b.value),
                                                             mask, key, m.loss());
                     feaug::masked_prediction_backward(ctx, feaug::stop_gradient(a.value), b, mask,
                                                       key, m.cotangent());
                   }});
  calls.push_back({"step", [](ctx_type& ctx, const memory& m) {
                     const auto [a, b] = m.both();
                     feaug::no_predictor none;
                     feaug::step(ctx, {.architecture = feaug::architecture::basic}, a,
                                 feaug::stop_gradient(b.value), none, feaug::mask{},
                                 feaug::random_key{.device_step = m.step.data()}, m.loss());
                   }});
  return calls;
}

}  // namespace

TEST_CASE("every operator can be captured", "[cuda][context][capture]") {
  cudaStream_t stream = nullptr;
  succeed(cudaStreamCreate(&stream));
  for (const bool tensor_cores : {false, true}) {
    for (const named_call& call : all_calls()) {
      CAPTURE(call.name, tensor_cores);
      const memory m;
      feaug::cuda_context ctx{.stream = stream,
                              .precision = tensor_cores ? feaug::product_precision::bf16
                                                        : feaug::product_precision::fp32,
                              .tensor_cores = tensor_cores};
      m.scramble();
      const auto before = m.state();
      call.run(ctx, m);
      succeed(cudaStreamSynchronize(stream));
      const auto eager = m.state();
      const bool did_something = eager != before;
      CHECK(did_something);
      if (testing::is_thread_sanitized) continue;  // a graph runs the same kernels again

      m.scramble();
      cudaGraph_t graph = nullptr;
      cudaGraphExec_t executable = nullptr;
      succeed(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
      call.run(ctx, m);
      succeed(cudaStreamEndCapture(stream, &graph));
      const bool ran_while_captured = m.state() == eager;
      CHECK_FALSE(ran_while_captured);
      succeed(cudaGraphInstantiate(&executable, graph, 0));
      succeed(cudaGraphLaunch(executable, stream));
      succeed(cudaStreamSynchronize(stream));
      const bool same = m.state() == eager;
      CHECK(same);
      cudaGraphExecDestroy(executable);
      cudaGraphDestroy(graph);
    }
  }
  cudaStreamDestroy(stream);
}

}  // namespace capture_test
