// Fused kernels of the losses, compared with the CPU in double. Their error may be twice the error
// of the unfused path (chunks of logits) at the same precision.
#include "feaug/cuda/loss/fused_contrast.cuh"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "cuda/support/schedules.hpp"
#include "feaug/cpu/loss/info_nce.hpp"
#include "feaug/cpu/loss/nt_xent.hpp"
#include "feaug/cpu/loss/symmetric_info_nce.hpp"
#include "feaug/cuda/loss/info_nce.cuh"
#include "feaug/cuda/loss/nt_xent.cuh"
#include "feaug/cuda/loss/symmetric_info_nce.cuh"

namespace fused_contrast_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::index_t;
using testing::test_matrix;

namespace {

/// Options of a loss with these inputs in this context.
template <template <feaug::element, feaug::memory_space> class Options, class Context,
          feaug::element T, feaug::memory_space Space>
Options<T, Space> options_for(const Context& /*ctx*/, const feaug::operand<T, 2, Space>& /*x*/) {
  static_assert(Context::space == Space);
  return {.reduction = feaug::reduce::none};
}

/// The losses and gradients of one call.
struct answer {
  std::vector<double> losses;
  std::vector<double> gradients;
};

/// Runs a loss of several inputs on the CPU in double, and on the GPU with chunks and fused.
/// `call(context, inputs, loss)` is generic; inputs[i] are operands.
template <class T>
class comparison {
 public:
  comparison(std::vector<test_matrix<T>> inputs, index_t outputs)
      : inputs_(std::move(inputs)), outputs_(outputs) {}

  template <class Call>
  [[nodiscard]] answer on_cpu(const Call& call) const {
    std::vector<test_matrix<double>> values;
    std::vector<test_matrix<double>> gradients;
    std::vector<feaug::operand<double>> operands;
    for (const auto& x : inputs_) {
      values.emplace_back(x.rows(), x.cols());
      gradients.emplace_back(x.rows(), x.cols());
      for (index_t i = 0; i < x.rows(); ++i) {
        for (index_t j = 0; j < x.cols(); ++j) values.back().set(i, j, x.get(i, j));
      }
    }
    for (std::size_t i = 0; i < values.size(); ++i)
      operands.push_back(feaug::differentiable(values[i].view(), gradients[i].view()));
    std::vector<double> losses(static_cast<std::size_t>(outputs_));
    feaug::cpu_context cpu{.threads = 1};
    call(cpu, operands, feaug::vector_view<double>(losses.data(), outputs_));
    return {losses, joined(gradients)};
  }

  template <class Call>
  [[nodiscard]] answer on_gpu(bool fused, const Call& call) const {
    std::vector<device_copy<T>> values;
    std::vector<device_copy<T>> gradients;
    std::vector<feaug::operand<T, 2, feaug::memory_space::device>> operands;
    for (const auto& x : inputs_) {
      values.emplace_back(x);
      gradients.emplace_back(test_matrix<T>(x.rows(), x.cols(), 3));
    }
    for (std::size_t i = 0; i < values.size(); ++i)
      operands.push_back(feaug::differentiable(values[i].view(), gradients[i].view()));
    const device_array<float> losses(std::vector<float>(static_cast<std::size_t>(outputs_)));
    feaug::cuda_context gpu{.precision = feaug::product_precision::bf16, .tensor_cores = fused};
    call(gpu, operands, feaug::device_vector<float>(losses.data(), outputs_));
    std::vector<test_matrix<T>> hosts;
    for (const auto& g : gradients) {
      hosts.push_back(g.host());
      CHECK(hosts.back().padding_intact());
    }
    const auto host_losses = losses.to_host();
    return {std::vector<double>(host_losses.begin(), host_losses.end()), joined(hosts)};
  }

  template <class Call>
  void check(const Call& call) const {
    const answer want = on_cpu(call);
    const answer chunked = on_gpu(false, call);
    const answer fused = on_gpu(true, call);
    const auto no_worse = [](const std::vector<double>& got, const std::vector<double>& plain,
                             const std::vector<double>& exact) {
#if defined(FEAUG_HAS_CUBLAS)
      // cuBLAS may multiply more precisely than asked for, so the chunked pass tells nothing about
      // the rounding of operands. (The largest error of the executor is 0.016.)
      const double allowed = 0.04;
      static_cast<void>(plain);
#else
      const double allowed = 2 * testing::relative_error(plain, exact) + 2e-4;
#endif
      CHECK(testing::relative_error(got, exact) <= allowed);
    };
    no_worse(fused.losses, chunked.losses, want.losses);
    no_worse(fused.gradients, chunked.gradients, want.gradients);
  }

 private:
  template <class U>
  static std::vector<double> joined(const std::vector<test_matrix<U>>& all) {
    std::vector<double> numbers;
    for (const auto& x : all) {
      const auto values = x.values();
      numbers.insert(numbers.end(), values.begin(), values.end());
    }
    return numbers;
  }

  std::vector<test_matrix<T>> inputs_;
  index_t outputs_;
};

template <class T>
void compare_info_nce(index_t rows, index_t keys, index_t negatives, index_t cols,
                      double temperature, bool in_batch_negatives = true, bool normalize = true) {
  CAPTURE(rows, keys, negatives, cols, temperature, in_batch_negatives, normalize);
  auto queries = test_matrix<T>::normal(rows, cols, 1, 1);
  auto negative_rows = test_matrix<T>::normal(negatives, cols, 3, 2);
  // Query 0 is orthogonal to the negatives, so all these logits are far below 1/τ.
  for (index_t j = 0; j < cols; ++j) {
    if (j % 2 == 0) {
      queries.set(0, j, 0);
    } else {
      for (index_t i = 0; i < negatives; ++i) negative_rows.set(i, j, 0);
    }
  }
  const comparison<T> compared({queries, test_matrix<T>::normal(keys, cols, 2), negative_rows},
                               rows);
  compared.check([&](auto& ctx, const auto& inputs, const auto& loss) {
    auto options = options_for<feaug::info_nce_options>(ctx, inputs[0]);
    options.temperature = temperature;
    options.positive_offset = keys - rows;
    options.in_batch_negatives = in_batch_negatives;
    options.normalize = normalize;
    if (negatives > 0) options.negatives = inputs[2];
    feaug::info_nce_with_gradients(ctx, inputs[0], inputs[1], loss, options);
  });
}

}  // namespace

TEMPLATE_TEST_CASE("fused info_nce is as accurate as the chunks", "[cuda][fused]", float,
                   feaug::half, feaug::bfloat16) {
  using T = TestType;
  // Rows: one, a warp's sixteen and one more, a block's 128 and one more. Columns: one tile of 64,
  // and one more. Features: around the widths of the kernels.
  compare_info_nce<T>(1, 1, 0, 1, 0.3);
  compare_info_nce<T>(16, 64, 0, 63, 0.1);
  compare_info_nce<T>(17, 65, 3, 64, 0.05);
  compare_info_nce<T>(128, 128, 70, 65, 0.1);
  compare_info_nce<T>(129, 131, 0, 130, 0.2);
  compare_info_nce<T>(20, 20, 45, 256, 0.07);
  compare_info_nce<T>(5, 5, 40, 33, 0.1, false);
  compare_info_nce<T>(3, 3, 0, 8, 0.1, false);  // no columns
}

TEST_CASE("fused info_nce whose shift must follow the largest logit", "[cuda][fused]") {
  compare_info_nce<float>(40, 40, 100, 30, 0.012, false);
  compare_info_nce<float>(40, 40, 100, 30, 0.004, false);
  compare_info_nce<float>(40, 40, 100, 30, 0.004);
  compare_info_nce<float>(40, 200, 0, 12, 0.1, true, false);
  compare_info_nce<float>(3, 3, 150, 12, 0.1, false, false);
}

TEST_CASE("fused losses give the same bits for every thread schedule", "[cuda][fused]") {
  std::vector<double> first;
  device_test::for_each_schedule([&] {
    const device_copy<float> z(test_matrix<float>::normal(20, 11, 1));
    const device_copy<float> w(test_matrix<float>::normal(150, 11, 2));
    const device_copy<float> dz(test_matrix<float>(20, 11));
    const device_copy<float> dw(test_matrix<float>(150, 11));
    const device_array<float> loss({0});
    feaug::cuda_context gpu{.precision = feaug::product_precision::bf16, .tensor_cores = true};
    feaug::info_nce_with_gradients(gpu, feaug::differentiable(z.view(), dz.view()),
                                   feaug::differentiable(w.view(), dw.view()),
                                   feaug::device_vector<float>(loss.data(), 1));
    std::vector<double> all = dz.host().values();
    const std::vector<double> of_keys = dw.host().values();
    all.insert(all.end(), of_keys.begin(), of_keys.end());
    all.push_back(static_cast<double>(loss.to_host()[0]));
    if (first.empty()) first = all;
    const bool same = all == first;
    CHECK(same);
  });
}

TEST_CASE("fused info_nce with several tiles per part", "[cuda][fused]") {
  // With 67 blocks of rows, columns are not split: each block has three tiles, the last one
  // partial.
  compare_info_nce<float>(128 * 67, 128 * 67, 150, 5, 0.1, false, false);
}

TEST_CASE("fused two-view losses are as accurate as the chunks", "[cuda][fused]") {
  for (const index_t rows : {2, 41, 130}) {
    CAPTURE(rows);
    const std::vector<test_matrix<float>> inputs = {test_matrix<float>::normal(rows, 20, 1, 1),
                                                    test_matrix<float>::normal(rows, 20, 2)};
    for (const bool decoupled : {false, true}) {
      const comparison<float> compared(inputs, 2 * rows);
      compared.check([&](auto& ctx, const auto& in, const auto& loss) {
        auto options = options_for<feaug::nt_xent_options>(ctx, in[0]);
        options.temperature = 0.2;
        options.decoupled = decoupled;
        options.positive_weighting = decoupled ? 0.5 : 0.0;
        feaug::nt_xent_with_gradients(ctx, in[0], in[1], loss, options);
      });
    }
    const comparison<float> compared(inputs, rows);
    compared.check([&](auto& ctx, const auto& in, const auto& loss) {
      auto options = options_for<feaug::symmetric_info_nce_options>(ctx, in[0]);
      options.temperature = 0.1;
      feaug::symmetric_info_nce_with_gradients(ctx, in[0], in[1], loss, options);
    });
  }
}

}  // namespace fused_contrast_test
