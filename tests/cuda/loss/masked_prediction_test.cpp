// masked_prediction on a GPU draws every mask like the CPU.
#include "feaug/cuda/loss/masked_prediction.cuh"

#include <catch2/catch.hpp>
#include <vector>

#include "cuda/support/device_copy.hpp"
#include "feaug/cpu/loss/masked_prediction.hpp"

namespace masked_prediction_test {

using device_test::device_array;
using device_test::device_copy;
using feaug::prediction_form;
using testing::test_matrix;

namespace {

constexpr feaug::random_key key{.seed = 5, .step = 2, .stream = 3, .row_offset = 7};

/// Runs every function with a policy and with the mask that the CPU draws from it. Rows are longer
/// than 128 columns.
template <class T, class P>
void check(const P& policy) {
  using C = feaug::compute_t<T>;
  test_matrix<T> keep(9, 140, 1);
  feaug::cpu_context cpu;
  feaug::draw(cpu, policy, key, keep.view());
  const device_copy<T> device_keep(keep);
  const device_copy<T> p(test_matrix<T>::normal(9, 140, 1, 1));
  const device_copy<T> t(test_matrix<T>::normal(9, 140, 2));
  for (const auto form :
       {prediction_form::smooth_l1, prediction_form::squared, prediction_form::cosine}) {
    CAPTURE(static_cast<int>(form));
    const auto run = [&](const auto& mask) {
      const device_copy<T> d_p(test_matrix<T>(9, 140));
      const device_copy<T> d_t(test_matrix<T>(9, 140));
      const device_array<C> numbers({0, 0, C(0.7)});
      const auto number = [&](int i) { return feaug::device_vector<C>(numbers.data() + i, 1); };
      const auto prediction = feaug::differentiable(p.view(), d_p.view());
      const auto target = feaug::accumulate(t.view(), d_t.view());
      feaug::cuda_context gpu;
      feaug::masked_prediction(gpu, p.view(), t.view(), mask, key, number(0), {.form = form});
      feaug::masked_prediction_backward(gpu, prediction, target, mask, key, number(2),
                                        {.form = form});
      std::vector<double> all = d_p.host().values();
      feaug::masked_prediction_with_gradients(gpu, prediction, target, mask, key, number(1),
                                              {.form = form});
      for (const auto* gradient : {&d_p, &d_t}) {
        for (const double x : gradient->host().values()) all.push_back(x);
      }
      for (const C x : numbers.to_host()) all.push_back(static_cast<double>(x));
      return all;
    };
    CHECK(run(policy) == run(feaug::mask_from(device_keep.view())));
  }
}

}  // namespace

TEMPLATE_TEST_CASE("masked_prediction draws every mask like the CPU", "[cuda][loss]", double,
                   float) {
  check<TestType>(feaug::mask{.keep_probability = 0.5F});
  check<TestType>(feaug::mask{.keep_probability = 0});
  check<TestType>(feaug::mask{.keep_probability = 1});
  check<TestType>(feaug::fixed_count_mask{.keep_count = 6});
  check<TestType>(feaug::block_mask{.block_length = 4});
}

}  // namespace masked_prediction_test
