// Benchmark W3/search: the nearest of 98304 queue rows of 256 features, for 4096 and for 256
// queries.
#include "feaug/cpu/queue/nearest.hpp"
#include "feaug/cpu/queue/support_queue.hpp"
#include "support/contest.hpp"

namespace {

/// Inputs: the rows of a full queue, queries.
class search : public bench::own {
 public:
  explicit search(const bench::problem& on) : own(on) { feaug::enqueue(ctx_, queue(), input(0)); }
  void run() override {
    feaug::nearest(ctx_, queue(), input(1), {.indices = {slots_.data(), inputs_[1].rows, 1}});
  }
  bench::answer result() override { return {.neighbours = slots_}; }

 private:
  feaug::support_queue<float> queue() {
    return {.storage = view(storage_),
            .cursor = &cursor_,
            .size = &size_,
            .shadow = {.codes = {codes_.data(), static_cast<bench::index_t>(codes_.size())},
                       .bounds = {bounds_.data(), static_cast<bench::index_t>(bounds_.size())}}};
  }

  bench::matrix storage_ = like(inputs_[0]);
  std::vector<std::uint8_t> codes_ = std::vector<std::uint8_t>(
      static_cast<std::size_t>(feaug::shadow_codes(inputs_[0].rows, inputs_[0].cols)));
  std::vector<float> bounds_ =
      std::vector<float>(static_cast<std::size_t>(feaug::shadow_bounds(inputs_[0].rows)));
  feaug::index_t cursor_ = 0;
  feaug::index_t size_ = 0;
  std::vector<feaug::index_t> slots_ =
      std::vector<feaug::index_t>(static_cast<std::size_t>(inputs_[1].rows));
};

bench::workload in_queue(const std::string& name, bench::index_t queries, bench::index_t capacity) {
  constexpr bench::index_t cols = 256;
  return {.name = name,
          .operation = "search",
          .inputs =
              [=] {
                return std::vector{bench::unit_rows(bench::features(capacity, cols, 1)),
                                   bench::features(queries, cols, 2)};
              },
          .enter = bench::enter<search>,
          .flops = 2.0 * static_cast<double>(queries * capacity * cols)};
}

}  // namespace

void bench::register_benchmarks() {
  add(in_queue("W3/search", size(4096), size(98304)));
  add(in_queue("W3/search/256", size(256), size(98304)));
  add_series([](index_t capacity) { return in_queue("W3/search/256", 256, capacity); }, 1 << 20);
}
