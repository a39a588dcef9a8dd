// Calls of the operators in C++ for the small shapes of the grid, in which the time of a call from
// Python is mostly Python's. A benchmark has the name of its cell, see Cell in operators.py.
#include <benchmark/benchmark.h>

#include <array>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "feaug/feaug.hpp"
#include "support/contest.hpp"

namespace {

using bench::index_t;
using operand = feaug::operand<float>;

/// The inputs of one cell, as in operators.py, and room for all results.
class cell : public bench::own {
 public:
  cell(index_t rows, index_t cols) : own(problem_of(rows, cols)) {}

  feaug::cpu_context& ctx() { return ctx_; }
  feaug::matrix_view<const float> a() const { return input(0); }
  feaug::matrix_view<const float> b() const { return input(1); }
  /// The rows of a search: 16 times as many as queries.
  feaug::matrix_view<const float> support() const { return input(2); }
  operand a_differentiable() { return feaug::differentiable(a(), view(first_)); }
  operand b_differentiable() { return feaug::differentiable(b(), view(second_)); }
  feaug::matrix_view<float> out() { return view(out_); }

  void find(index_t k) {
    feaug::nearest(ctx_, support(), a(),
                   {.indices = {slots_.data(), a().rows(), k},
                    .similarities = {similarities_.data(), a().rows(), k}},
                   {.k = k});
  }
  void enqueue() {
    index_t cursor = 0;
    index_t filled = 0;
    feaug::enqueue(
        ctx_,
        feaug::support_queue<float>{.storage = view(storage_), .cursor = &cursor, .size = &filled},
        a());
  }
  void update() {
    std::array<feaug::momentum_pair<float>, 10> pairs;
    for (std::size_t i = 0; i < pairs.size(); ++i) pairs[i] = {view(targets_[i]), a()};
    feaug::momentum_update(ctx_, pairs, 0.99);
  }

  void run() override {}
  bench::answer result() override { return {}; }

 private:
  static bench::problem problem_of(index_t rows, index_t cols) {
    const bench::matrix a = bench::features(rows, cols, 1);
    return {.inputs = {a, bench::other_view(a, 2),
                       bench::unit_rows(bench::features(16 * rows, cols, 3))},
            .threads = bench::chosen().threads};
  }

  bench::matrix first_ = like(inputs_[0]);
  bench::matrix second_ = like(inputs_[0]);
  bench::matrix out_ = like(inputs_[0]);
  bench::matrix storage_ = like(inputs_[2]);
  std::vector<bench::matrix> targets_ = std::vector(10, like(inputs_[0]));
  std::vector<index_t> slots_ = std::vector<index_t>(static_cast<std::size_t>(10 * a().rows()));
  std::vector<float> similarities_ = std::vector<float>(slots_.size());
};

constexpr feaug::random_key key = {.seed = 7};

struct operation {
  std::string_view name;
  std::string_view variant;
  std::function<void(cell&)> call;
};

/// The variants "one" and "both" of a loss; call(cell, a, b).
void add_loss(std::vector<operation>& to, std::string_view name,
              const std::function<void(cell&, const operand&, const operand&)>& call) {
  to.push_back({name, "one", [call](cell& in) {
                  call(in, in.a_differentiable(), feaug::stop_gradient(in.b()));
                }});
  to.push_back(
      {name, "both", [call](cell& in) { call(in, in.a_differentiable(), in.b_differentiable()); }});
}

/// The variants "forward" and "gradient" of an augmentation; of_policy(cell, use) calls use(policy).
template <class OfPolicy>
void add_augmentation(std::vector<operation>& to, std::string_view name,
                      const OfPolicy& of_policy) {
  const auto forward = [of_policy](cell& in) {
    feaug::augment(in.ctx(), of_policy(in), in.a(), key, in.out());
  };
  to.push_back({name, "forward", forward});
  to.push_back({name, "gradient", [of_policy, forward](cell& in) {
                  forward(in);
                  feaug::augment_backward(in.ctx(), of_policy(in), in.a_differentiable(), key,
                                          in.b());
                }});
}

std::vector<operation> operations() {
  std::vector<operation> all;
  add_loss(all, "info_nce", [](cell& in, const operand& a, const operand& b) {
    feaug::info_nce_with_gradients(in.ctx(), a, b);
  });
  add_loss(all, "symmetric_info_nce", [](cell& in, const operand& a, const operand& b) {
    feaug::symmetric_info_nce_with_gradients(in.ctx(), a, b);
  });
  add_loss(all, "nt_xent", [](cell& in, const operand& a, const operand& b) {
    feaug::nt_xent_with_gradients(in.ctx(), a, b);
  });
  add_loss(all, "negative_cosine", [](cell& in, const operand& a, const operand& b) {
    feaug::negative_cosine_with_gradients(in.ctx(), a, b);
  });
  add_augmentation(all, "mask", [](cell&) { return feaug::mask{}; });
  add_augmentation(all, "gaussian_noise", [](cell&) { return feaug::gaussian_noise{}; });
  add_augmentation(all, "interpolate", [](cell& in) {
    return feaug::with_partner(feaug::interpolate{}, in.b_differentiable());
  });
  const auto normalize = [](cell& in) { feaug::l2_normalize(in.ctx(), in.a(), in.out()); };
  all.push_back({"l2_normalize", "forward", normalize});
  all.push_back({"l2_normalize", "gradient", [normalize](cell& in) {
                   normalize(in);
                   feaug::l2_normalize_backward(in.ctx(), in.a_differentiable(), in.b());
                 }});
  all.push_back({"nearest", "k 1", [](cell& in) { in.find(1); }});
  all.push_back({"nearest", "k 10", [](cell& in) { in.find(10); }});
  all.push_back({"enqueue", "forward", [](cell& in) { in.enqueue(); }});
  all.push_back({"momentum_update", "forward", [](cell& in) { in.update(); }});
  return all;
}

}  // namespace

void bench::register_benchmarks() {
  for (const operation& one : operations()) {
    for (const index_t rows : {64, 256}) {
      for (const index_t cols : {64, 128, 256}) {
        const std::string name = std::string(one.name) + " float32 N " + std::to_string(rows) +
                                 " D " + std::to_string(cols) + " " + std::string(one.variant);
        benchmark::RegisterBenchmark(name.c_str(),
                                     [one, rows, cols](benchmark::State& state) {
                                       cell in(rows, cols);
                                       one.call(in);
                                       for (auto _ : state) one.call(in);
                                     })
            ->UseRealTime()
            ->MinTime(bench::chosen().small ? 1e-3 : 0.05);
      }
    }
  }
}
