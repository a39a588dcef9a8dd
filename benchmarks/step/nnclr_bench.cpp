// Benchmark W3: an NNCLR step without the network: a nearest-neighbour search of 4096 targets of
// 256 features among 98304 queue rows, InfoNCE of the predictions with the neighbours, and
// enqueueing the targets.
#include <cstdint>

#include "feaug/cpu/loss/info_nce.hpp"
#include "feaug/cpu/queue/nearest.hpp"
#include "feaug/cpu/queue/support_queue.hpp"
#include "support/contest.hpp"

namespace {

/// Inputs: the rows of a full queue, targets, predictions.
class nnclr : public bench::own {
 public:
  explicit nnclr(const bench::problem& on) : own(on) { feaug::enqueue(ctx_, queue(), input(0)); }

  void run() override {
    feaug::nearest(ctx_, queue(), input(1),
                   {.indices = {slots_.data(), found_.rows, 1}, .values = view(found_)});
    loss_ = feaug::info_nce_with_gradients(ctx_, feaug::stop_gradient(view(found_)),
                                           feaug::differentiable(input(2), view(dp_)),
                                           {.temperature = temperature_});
    feaug::enqueue(ctx_, queue(), input(1));
  }
  /// Without this, the targets of the previous run would find themselves in the queue.
  void reset() override {
    cursor_ = 0;
    feaug::enqueue(
        ctx_, queue(),
        feaug::matrix_view<const float>(inputs_[0].values.data(), found_.rows, found_.cols));
    cursor_ = 0;
  }
  bench::answer result() override {
    return {.loss = loss_, .gradients = {dp_}, .neighbours = slots_};
  }

 private:
  feaug::support_queue<float> queue() {
    return {.storage = view(storage_), .cursor = &cursor_, .size = &size_};
  }

  bench::matrix storage_ = like(inputs_[0]);
  feaug::index_t cursor_ = 0;
  feaug::index_t size_ = 0;
  bench::matrix found_ = like(inputs_[1]);
  bench::matrix dp_ = like(inputs_[2]);
  std::vector<feaug::index_t> slots_ =
      std::vector<feaug::index_t>(static_cast<std::size_t>(inputs_[1].rows));
  float loss_ = 0;
};

bench::workload step(bench::index_t rows, bench::index_t capacity) {
  constexpr bench::index_t cols = 256;
  // One product with the queue; for the loss, one for the logits and one for the predictions'
  // gradient.
  return {
      .name = "W3",
      .operation = "nnclr",
      .inputs =
          [=] {
            const bench::matrix targets = bench::features(rows, cols, 2);
            return std::vector{bench::unit_rows(bench::features(capacity, cols, 1)), targets,
                               bench::other_view(targets, 3)};
          },
      .enter = bench::enter<nnclr>,
      .flops = 2.0 * static_cast<double>(rows * cols) * static_cast<double>(capacity + 2 * rows)};
}

}  // namespace

void bench::register_benchmarks() { add(step(size(4096), size(98304))); }
