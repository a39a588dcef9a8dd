// nt_xent and symmetric_info_nce, for different amounts of scratch memory in which packed rows,
// exponentials and sums of gradients may be kept: the same results within rounding, and the same
// bits for any number of threads.
#include <catch2/catch.hpp>
#include <cstddef>
#include <set>
#include <vector>

#include "feaug/cpu/loss/nt_xent.hpp"
#include "feaug/cpu/loss/symmetric_info_nce.hpp"
#include "support/test_matrix.hpp"

namespace kept_tiles_test {

using feaug::compute_t;
using feaug::cpu_context;
using feaug::gradient_mode;
using feaug::index_t;
using feaug::operand;
using feaug::scalar;
using testing::test_matrix;

namespace {

struct call {
  bool is_one_side;  // nt_xent, or else symmetric_info_nce
  index_t rows;
  index_t cols;
  gradient_mode of_a = gradient_mode::overwrite;
  gradient_mode of_b = gradient_mode::overwrite;
  bool learns_temperature = false;
};

/// A single pair; one block; blocks of which the last is partial; a view that ends within a block.
std::vector<call> calls() {
  using enum gradient_mode;
  std::vector<call> all;
  for (const bool is_one_side : {true, false}) {
    all.push_back({is_one_side, 1, 1});
    all.push_back({is_one_side, 1, 7, overwrite, accumulate, true});
    all.push_back({is_one_side, 2, 1});
    all.push_back({is_one_side, 33, 5, overwrite, none, true});
    all.push_back({is_one_side, 151, 40, none, overwrite});
    all.push_back({is_one_side, 151, 40, accumulate, overwrite, true});
    all.push_back({is_one_side, 301, 24});
    all.push_back({is_one_side, 301, 24, accumulate, accumulate});
  }
  return all;
}

template <class T>
class batch {
 public:
  using C = compute_t<T>;

  explicit batch(const call& of)
      : of_(of),
        a_(test_matrix<T>::normal(of.rows, of.cols, 1, 3)),
        b_(test_matrix<T>::normal(of.rows, of.cols, 2)),
        d_a_(of.rows, of.cols, 2),
        d_b_(of.rows, of.cols) {
    for (index_t i = 0; i < 2 * of.rows; ++i)
      weights_.push_back(static_cast<C>(0.5 + 0.25 * static_cast<double>(i % 3)));
    d_a_.fill(0.5);
    d_b_.fill(-0.25);
  }

  /// Loss and gradients in one call.
  std::vector<double> at_once(cpu_context& ctx) {
    const auto run = [&](const auto& verb, const auto& options) {
      verb(ctx, operand_of(a_, d_a_, of_.of_a), operand_of(b_, d_b_, of_.of_b), scalar(loss_),
           options);
    };
    if (of_.is_one_side) {
      run([](auto&&... x) { feaug::nt_xent_with_gradients(x...); },
          options<feaug::nt_xent_options<T>>());
    } else {
      run([](auto&&... x) { feaug::symmetric_info_nce_with_gradients(x...); },
          options<feaug::symmetric_info_nce_options<T>>());
    }
    return results();
  }
  /// The loss, and then the gradients from statistics.
  std::vector<double> in_two_calls(cpu_context& ctx) {
    std::vector<C> kept(static_cast<std::size_t>(2 * of_.rows));
    const feaug::vector_view<C> statistics{kept.data(), 2 * of_.rows};
    const C one = 1;
    const auto run = [&](const auto& forward, const auto& backward, const auto& options) {
      forward(ctx, a_.view(), b_.view(), scalar(loss_), options, statistics);
      backward(ctx, operand_of(a_, d_a_, of_.of_a), operand_of(b_, d_b_, of_.of_b),
               feaug::vector_view<const C>(statistics), feaug::vector_view<const C>{&one, 1},
               options);
    };
    if (of_.is_one_side) {
      run([](auto&&... x) { feaug::nt_xent(x...); },
          [](auto&&... x) { feaug::nt_xent_backward(x...); }, options<feaug::nt_xent_options<T>>());
    } else {
      run([](auto&&... x) { feaug::symmetric_info_nce(x...); },
          [](auto&&... x) { feaug::symmetric_info_nce_backward(x...); },
          options<feaug::symmetric_info_nce_options<T>>());
    }
    return results();
  }

 private:
  static operand<T> operand_of(const test_matrix<T>& x, test_matrix<T>& gradient,
                               gradient_mode mode) {
    if (mode == gradient_mode::none) return stop_gradient(x.view());
    return {.value = x.view(), .gradient = gradient.view(), .mode = mode};
  }
  template <class Options>
  Options options() {
    Options options{.temperature = 0.2, .gradient_scale = 3};
    options.row_weights = {weights_.data(), (of_.is_one_side ? 2 : 1) * of_.rows};
    if (of_.learns_temperature) {
      options.learnable_temperature = differentiable(scalar(temperature_), scalar(d_temperature_));
    }
    return options;
  }
  [[nodiscard]] std::vector<double> results() const {
    std::vector<double> all = {static_cast<double>(loss_), static_cast<double>(d_temperature_)};
    for (const test_matrix<T>* gradient : {&d_a_, &d_b_}) {
      CHECK(gradient->padding_intact());
      for (const double x : gradient->values()) all.push_back(x);
    }
    return all;
  }

  call of_;
  test_matrix<T> a_, b_, d_a_, d_b_;
  std::vector<C> weights_;
  C loss_ = 0;
  C temperature_ = C(0.2F);
  C d_temperature_ = 0;
};

void check_close(const std::vector<double>& got, const std::vector<double>& want,
                 double tolerance) {
  CHECK(got[0] == Approx(want[0]).epsilon(tolerance).margin(tolerance));
  CHECK(got[1] == Approx(want[1]).epsilon(10 * tolerance).margin(tolerance));
  CHECK(testing::relative_error(got, want) < tolerance);
}

/// Nothing; for 301 pairs packed rows alone, these and sums of gradients; the default; everything.
constexpr index_t budgets[] = {-1, 200 << 10, 256 << 10, 14 << 20, index_t{1} << 40};

}  // namespace

TEMPLATE_TEST_CASE("two views: any amount of kept scratch memory gives the same results",
                   "[nt_xent][symmetric_info_nce]", double, float, feaug::half, feaug::bfloat16) {
  for (const call& of : calls()) {
    CAPTURE(of.is_one_side, of.rows, of.cols, of.of_a, of.of_b, of.learns_temperature);
    cpu_context nothing{.threads = 1, .most_kept_bytes = 0};
    const std::vector<double> want = batch<TestType>(of).at_once(nothing);
    for (const index_t most : budgets) {
      CAPTURE(most);
      cpu_context alone{.threads = 1, .most_kept_bytes = most};
      const std::vector<double> at_once = batch<TestType>(of).at_once(alone);
      const std::vector<double> in_two_calls = batch<TestType>(of).in_two_calls(alone);
      check_close(at_once, want, testing::tolerance<TestType>());
      check_close(in_two_calls, want, testing::tolerance<TestType>());
      for (const int threads : {2, 3}) {
        CAPTURE(threads);
        cpu_context ctx{.threads = threads, .most_kept_bytes = most};
        CHECK(batch<TestType>(of).at_once(ctx) == at_once);
        CHECK(batch<TestType>(of).in_two_calls(ctx) == in_two_calls);
      }
    }
  }
}

TEST_CASE("two views: no more scratch memory is kept than permitted", "[nt_xent]") {
  std::set<std::size_t> peaks;
  std::size_t without = 0;
  for (const index_t most : {0, 200 << 10, 256 << 10, 14 << 20}) {
    CAPTURE(most);
    // With AMX, rows are packed a second time.
    cpu_context ctx{
        .threads = 1, .instructions = feaug::instruction_set::avx512, .most_kept_bytes = most};
    batch<feaug::bfloat16>({true, 301, 24}).at_once(ctx);
    if (most == 0) without = ctx.workspace.peak();
    CHECK(ctx.workspace.peak() <= without + static_cast<std::size_t>(most));
    peaks.insert(ctx.workspace.peak());
  }
  CHECK(peaks.size() == 4);  // each amount keeps something else
}

}  // namespace kept_tiles_test
