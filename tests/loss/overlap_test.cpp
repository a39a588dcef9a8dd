// What a call writes may overlap nothing else that it reads or writes: not only matrices, but also
// vectors and scalars. The error names both arguments, and nothing is written.
#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstdint>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "feaug/feaug.hpp"
#include "support/message_of.hpp"
#include "support/test_matrix.hpp"

namespace overlap_test {
namespace {

using feaug::differentiable;
using feaug::index_t;
using feaug::matrix_view;
using feaug::scalar;
using feaug::stop_gradient;
using feaug::vector_view;
using testing::message_of;

constexpr index_t rows = 6;
constexpr index_t cols = 4;
constexpr index_t capacity = 8;

/// Features, gradients and a queue, whose memory the tests use twice.
class fixture {
 public:
  std::vector<float> x = numbers(1);
  std::vector<float> y = numbers(2);
  std::vector<float> dx = std::vector<float>(rows * cols, -7.0F);
  std::vector<float> dy = std::vector<float>(rows * cols, -7.0F);
  std::vector<float> storage = std::vector<float>(capacity * cols, 0.5F);
  std::array<index_t, 2> counters = {0, capacity};
  std::vector<std::int64_t> ids = std::vector<std::int64_t>(capacity, 3);
  std::vector<std::int64_t> own_ids = std::vector<std::int64_t>(rows, 5);
  std::vector<index_t> labels = {0, 1, 0, 1, 2, 2};
  float one = 1;
  float loss = -7;

  static std::vector<float> numbers(unsigned seed) {
    const std::vector<double> values =
        testing::test_matrix<float>::normal(rows, cols, seed).values();
    return {values.begin(), values.end()};
  }
  matrix_view<float> of(std::vector<float>& memory) const { return {memory.data(), rows, cols}; }
  auto a() { return differentiable(of(x), of(dx)); }
  auto b() { return differentiable(of(y), of(dy)); }
  feaug::support_queue<float> queue() {
    return {.storage = {storage.data(), capacity, cols},
            .cursor = &counters[0],
            .size = &counters[1],
            .ids = {ids.data(), capacity}};
  }
  [[nodiscard]] auto bytes() const {
    return std::tuple(x, y, dx, dy, storage, counters, ids, own_ids, labels, one, loss);
  }
};

/// Checks the message of a call, and that the call writes nothing.
template <class Call>
void refuses(fixture& f, const std::string& message, const Call& call) {
  CAPTURE(message);
  feaug::cpu_context ctx;
  const auto before = f.bytes();
  CHECK(message_of([&] { call(ctx); }) == message);
  CHECK(f.bytes() == before);
}

std::string overlap(const std::string& argument, const std::string& other) {
  return argument + ": got memory that overlaps " + other + ", wanted memory of its own";
}

}  // namespace

TEST_CASE("losses refuse vectors and scalars that overlap", "[loss][misuse][overlap]") {
  fixture f;
  refuses(f, overlap("info_nce_with_gradients: gradient of queries", "row_weights"),
          [&](auto& ctx) {
            feaug::info_nce_with_gradients(ctx, f.a(), f.b(), scalar(f.loss),
                                           {.row_weights = {f.dx.data() + 3, rows}});
          });
  refuses(f,
          overlap("info_nce_with_gradients: gradient of learnable_temperature",
                  "learnable_temperature"),
          [&](auto& ctx) {
            feaug::info_nce_with_gradients(
                ctx, f.a(), f.b(), scalar(f.loss),
                {.learnable_temperature = differentiable(scalar(f.one), scalar(f.one))});
          });
  refuses(f, overlap("info_nce: loss", "queries"), [&](auto& ctx) {
    feaug::info_nce(ctx, f.of(f.x), f.of(f.y), {f.x.data() + 5, 1});
  });
  refuses(f, overlap("info_nce: statistics", "loss"), [&](auto& ctx) {
    feaug::info_nce(ctx, f.of(f.x), f.of(f.y), {f.dx.data() + 2, 1}, {}, {f.dx.data(), rows});
  });
  refuses(f, overlap("info_nce: statistics", "keys"), [&](auto& ctx) {
    feaug::info_nce(ctx, f.of(f.x), f.of(f.y), scalar(f.loss), {}, {f.y.data(), rows});
  });
  refuses(f, overlap("info_nce_backward: gradient of keys", "cotangent"), [&](auto& ctx) {
    feaug::info_nce_backward(ctx, f.a(), f.b(), {f.x.data(), rows}, {f.dy.data(), 1});
  });
  refuses(f, overlap("info_nce_backward: gradient of queries", "statistics"), [&](auto& ctx) {
    feaug::info_nce_backward(ctx, f.a(), f.b(), {f.dx.data(), rows}, {&f.one, 1});
  });
  refuses(f, overlap("sigmoid_with_gradients: loss", "learnable_scale"), [&](auto& ctx) {
    feaug::sigmoid_with_gradients(ctx, f.a(), f.b(), scalar(f.one),
                                  {.learnable_scale = stop_gradient(scalar(f.one))});
  });
  refuses(f, overlap("nt_xent_with_gradients: loss", "gradient of b"), [&](auto& ctx) {
    feaug::nt_xent_with_gradients(ctx, f.a(), f.b(), {f.dy.data() + 1, 1});
  });
  refuses(f, overlap("negative_cosine_with_gradients: loss", "target"), [&](auto& ctx) {
    feaug::negative_cosine_with_gradients(ctx, f.a(), stop_gradient(f.of(f.y)),
                                          {f.y.data() + 1, 1});
  });
  refuses(f, overlap("barlow_twins_backward: gradient of a", "cotangent"), [&](auto& ctx) {
    feaug::barlow_twins_backward(ctx, f.a(), f.b(), {f.dx.data(), 1});
  });
  refuses(f, overlap("vicreg_with_gradients: loss", "a"), [&](auto& ctx) {
    feaug::vicreg_with_gradients(ctx, f.a(), f.b(), {f.x.data(), 1});
  });
  refuses(f, overlap("supervised_contrastive_with_gradients: gradient of z", "labels"),
          [&](auto& ctx) {
            feaug::supervised_contrastive_with_gradients(
                ctx, f.a(), {reinterpret_cast<const index_t*>(f.dx.data()), rows}, scalar(f.loss));
          });
  refuses(f, overlap("mean_shift_with_gradients: loss", "queue.storage"), [&](auto& ctx) {
    feaug::mean_shift_with_gradients(ctx, f.a(), f.of(f.y), f.queue(), {f.storage.data(), 1});
  });
  refuses(f, overlap("relation_distillation_with_gradients: loss", "queue.size"), [&](auto& ctx) {
    feaug::relation_distillation_with_gradients(ctx, f.a(), f.of(f.y), f.queue(),
                                                {reinterpret_cast<float*>(&f.counters[1]), 1});
  });
  refuses(f, overlap("swapped_assignment: loss", "scores_b"), [&](auto& ctx) {
    feaug::swapped_assignment(ctx, f.of(f.x), f.of(f.y), {f.y.data(), 1});
  });
  refuses(f, overlap("swapped_assignment: statistics", "scores_a"), [&](auto& ctx) {
    feaug::swapped_assignment(ctx, f.of(f.x), f.of(f.y), scalar(f.loss), {},
                              {reinterpret_cast<double*>(f.x.data()), 2 * cols});
  });
  refuses(f, overlap("symmetric_info_nce_with_gradients: loss", "gradient of keys"),
          [&](auto& ctx) {
            feaug::symmetric_info_nce_with_gradients(ctx, f.a(), f.b(), {f.dy.data() + 1, 1});
          });
  refuses(f, overlap("kl_to_standard_normal_backward: gradient of mean", "cotangent"),
          [&](auto& ctx) {
            feaug::kl_to_standard_normal_backward(ctx, f.a(), f.b(), {f.dx.data() + 1, 1});
          });
  refuses(f, overlap("hypersphere: loss", "b"), [&](auto& ctx) {
    feaug::hypersphere(ctx, f.of(f.x), f.of(f.y), {f.y.data(), 1});
  });
  refuses(f, overlap("relation_distillation_with_gradients: loss", "keys"), [&](auto& ctx) {
    feaug::relation_distillation_with_gradients(ctx, f.a(), f.of(f.y), f.queue(), {f.y.data(), 1});
  });
  refuses(f, overlap("soft_neighbour_contrast_with_gradients: gradient of queries", "neighbours"),
          [&](auto& ctx) {
            feaug::soft_neighbour_contrast_with_gradients(ctx, f.a(), f.of(f.y), f.of(f.dx),
                                                          scalar(f.loss));
          });
  refuses(f, overlap("masked_prediction_with_gradients: loss", "target"), [&](auto& ctx) {
    feaug::masked_prediction_with_gradients(ctx, f.a(), stop_gradient(f.of(f.y)), feaug::mask{}, {},
                                            {f.y.data(), 1});
  });
  refuses(f, overlap("step: loss", "z2"), [&](auto& ctx) {
    feaug::no_predictor none;
    feaug::step(ctx, {.architecture = feaug::architecture::basic}, f.a(), stop_gradient(f.of(f.y)),
                none, feaug::mask{}, feaug::random_key{}, {f.y.data(), 1});
  });
}

TEST_CASE("a loss may lie between the rows of a strided matrix", "[loss][misuse][overlap]") {
  std::vector<float> memory = fixture::numbers(3);
  memory.resize(rows * (cols + 1));
  const matrix_view<float> strided(memory.data(), rows, cols, cols + 1);
  feaug::cpu_context ctx;
  const float expected = feaug::info_nce(ctx, strided, strided);
  memory[cols] = -7;
  feaug::info_nce(ctx, strided, strided, {memory.data() + cols, 1});
  CHECK(memory[cols] == expected);
}

TEST_CASE("neighbour policies refuse outputs that overlap", "[augment][misuse][overlap]") {
  fixture f;
  auto* const slots = reinterpret_cast<index_t*>(f.x.data());
  refuses(f, overlap("neighbour: indices", "x"), [&](auto& ctx) {
    feaug::augment(ctx,
                   feaug::neighbour_from(f.queue(), feaug::neighbour{}, {.indices = {slots, rows}}),
                   f.of(f.x), feaug::random_key{}, f.of(f.dx));
  });
  refuses(f, overlap("compose: indices", "x"), [&](auto& ctx) {
    feaug::augment(
        ctx,
        feaug::compose(feaug::mask{}, feaug::neighbour_from(f.queue(), feaug::neighbour{},
                                                            {.indices = {slots, rows}})),
        f.of(f.x), feaug::random_key{}, f.of(f.dx));
  });
  refuses(f, overlap("soft_neighbour: out", "indices"), [&](auto& ctx) {
    feaug::augment(
        ctx,
        feaug::soft_neighbour_from(f.queue(), {.k = 1},
                                   {.indices = {reinterpret_cast<index_t*>(f.dx.data()), rows, 1}}),
        f.of(f.x), feaug::random_key{}, f.of(f.dx));
  });
}

TEST_CASE("given draws of a policy do not overlap outputs", "[augment][misuse][overlap]") {
  fixture f;
  const feaug::random_key key;
  std::fill(f.dx.begin(), f.dx.end(), 0.5F);
  const auto weighted = feaug::with_weights(feaug::interpolate{}, f.b(), {f.dx.data() + 1, rows});
  refuses(f, overlap("interpolate: out", "weights"),
          [&](auto& ctx) { feaug::augment(ctx, weighted, f.of(f.x), key, f.of(f.dx)); });
  refuses(f, overlap("interpolate: gradient of x", "weights"),
          [&](auto& ctx) { feaug::augment_backward(ctx, weighted, f.a(), key, f.of(f.x)); });
  const vector_view<const index_t> choice(reinterpret_cast<index_t*>(f.dx.data()), rows);
  for (index_t i = 0; i < rows; ++i) reinterpret_cast<index_t*>(f.dx.data())[i] = i % 2;
  const auto chosen = feaug::one_of_from(choice, feaug::mask{}, feaug::gaussian_noise{});
  refuses(f, overlap("one_of_from: out", "choice"),
          [&](auto& ctx) { feaug::augment(ctx, chosen, f.of(f.x), key, f.of(f.dx)); });
  refuses(f, overlap("one_of_from: gradient of x", "choice"),
          [&](auto& ctx) { feaug::augment_backward(ctx, chosen, f.a(), key, f.of(f.y)); });
}

TEST_CASE("the memory of a policy does not overlap a step's or a loss's",
          "[step][misuse][overlap]") {
  fixture f;
  feaug::no_predictor none;
  const feaug::step_options<float> options = {.architecture = feaug::architecture::basic};
  const auto step = [&](auto& ctx, const auto& policy, vector_view<float> loss) {
    feaug::step(ctx, options, f.a(), stop_gradient(f.of(f.y)), none, policy, feaug::random_key{},
                loss);
  };
  const auto neighbour = feaug::neighbour_from(
      f.queue(), feaug::neighbour{}, {.indices = {reinterpret_cast<index_t*>(f.y.data()), rows}});
  refuses(f, overlap("step: indices", "z2"),
          [&](auto& ctx) { step(ctx, neighbour, scalar(f.loss)); });
  refuses(f, overlap("step: gradient of z1", "keep"),
          [&](auto& ctx) { step(ctx, feaug::mask_from(f.of(f.dx)), scalar(f.loss)); });
  refuses(f, overlap("step: loss", "partner"), [&](auto& ctx) {
    step(ctx, feaug::with_partner(feaug::interpolate{}, f.of(f.dy)), {f.dy.data(), 1});
  });
  refuses(f, overlap("step: loss", "queue.storage"), [&](auto& ctx) {
    step(ctx,
         std::variant<feaug::mask, decltype(feaug::neighbour_from(f.queue()))>(
             feaug::neighbour_from(f.queue())),
         {f.storage.data(), 1});
  });
  refuses(f, overlap("masked_prediction_with_gradients: loss", "keep"), [&](auto& ctx) {
    feaug::masked_prediction_with_gradients(ctx, f.a(), stop_gradient(f.of(f.y)),
                                            feaug::mask_from(f.of(f.dy)), {}, {f.dy.data(), 1});
  });
  refuses(f, overlap("step: gradient of z1", "keep"), [&](auto& ctx) {
    step(
        ctx, [&](int, int) { return feaug::mask_from(f.of(f.dx)); }, scalar(f.loss));
  });
  refuses(f, overlap("compose: gradient of partner", "gradient of partner"), [&](auto& ctx) {
    const auto part = feaug::with_partner(feaug::interpolate{}, f.b());
    feaug::augment_backward(ctx, feaug::compose(part, part), f.a(), feaug::random_key{},
                            matrix_view<const float>(f.storage.data(), rows, cols));
  });
  // Matrices that are only read may be one.
  feaug::cpu_context ctx;
  step(ctx, feaug::with_partner(feaug::interpolate{}, f.of(f.y)), scalar(f.loss));
  CHECK(f.loss != -7);
}

TEST_CASE("a composition may refer to many matrices", "[augment][misuse][overlap]") {
  fixture f;
  const auto one = feaug::soft_neighbour_from(f.queue(), {.k = 1});
  const auto four = feaug::compose(one, one, one, one);
  const auto many = feaug::compose(four, four, four);  // 48 views, most_inline is 32
  feaug::cpu_context ctx;
  feaug::augment(ctx, many, f.of(f.x), feaug::random_key{}, f.of(f.dx));
  CHECK(f.dx.back() != -7);
  const auto last = feaug::soft_neighbour_from(
      f.queue(), {.k = 1}, {.indices = {reinterpret_cast<index_t*>(f.x.data()), rows, 1}});
  refuses(f, overlap("compose: indices", "x"), [&](auto& context) {
    feaug::augment(context, feaug::compose(many, last), f.of(f.x), feaug::random_key{}, f.of(f.dx));
  });
}

TEST_CASE("searches, queues and diagnostics refuse what overlaps", "[queue][misuse][overlap]") {
  fixture f;
  feaug::support_queue<float> with_cursor_inside = f.queue();
  with_cursor_inside.cursor = reinterpret_cast<index_t*>(f.storage.data());
  *with_cursor_inside.cursor = 0;
  refuses(f, overlap("enqueue: queue.storage", "queue.cursor"), [&](auto& ctx) {
    feaug::enqueue(ctx, with_cursor_inside, f.of(f.x), {.ids = {f.own_ids.data(), rows}});
  });
  refuses(f, overlap("enqueue: queue.ids", "ids"), [&](auto& ctx) {
    feaug::enqueue(ctx, f.queue(), f.of(f.x), {.ids = {f.ids.data(), rows}});
  });
  refuses(f, overlap("nearest: indices", "queue.size"), [&](auto& ctx) {
    feaug::nearest(ctx, f.queue(), matrix_view<const float>(f.x.data(), 1, cols),
                   {.indices = {&f.counters[1], 1, 1}});
  });
  refuses(f, overlap("gather: ids", "queue.cursor"), [&](auto& ctx) {
    const std::vector<index_t> slots = {0};
    feaug::gather(ctx, f.queue(), vector_view<const index_t>(slots.data(), 1),
                  {.ids = {&f.counters[0], 1}});
  });
  refuses(f, overlap("draw: weights", "permutation"), [&](auto& ctx) {
    feaug::draw(ctx, feaug::interpolate{}, feaug::random_key{},
                vector_view<float>(reinterpret_cast<float*>(f.labels.data()), rows),
                vector_view<index_t>(f.labels.data(), rows));
  });
  auto* const doubles = reinterpret_cast<double*>(f.x.data());
  refuses(f, overlap("alignment: to", "a"), [&](auto& ctx) {
    feaug::alignment(ctx, f.of(f.x), f.of(f.y), {doubles, 1});
  });
  refuses(f, overlap("effective_rank: to", "x"), [&](auto& ctx) {
    feaug::effective_rank(ctx, f.of(f.x), {doubles, 1});
  });
  refuses(f, overlap("neighbour_accuracy: to", "queue_labels"), [&](auto& ctx) {
    feaug::neighbour_accuracy(ctx, matrix_view<const index_t>(f.counters.data(), rows / 6, 1),
                              vector_view<const index_t>(f.labels.data(), rows),
                              vector_view<const index_t>(f.labels.data(), 1),
                              {reinterpret_cast<double*>(f.labels.data()), 1});
  });
}

}  // namespace overlap_test
