// NNCLR on a custom network. feaug receives pointers, shapes and the destinations of gradients; the
// rest of the network does not depend on it.
//
// The data are points of eight classes in 32 dimensions. Each class has a nonzero mean in one
// dimension of its own; the other 24 dimensions are noise. Training uses no labels: two views of a
// point should agree, and one of them is replaced by its nearest point in a queue. The program
// reports, before and after training, the share of points whose nearest point in the queue has the
// same class.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <random>
#include <utility>
#include <vector>

#include "device.hpp"
#include "layers.hpp"

namespace {

constexpr std::size_t points = 128;  // per batch
constexpr std::size_t inputs = 32;
constexpr std::size_t features = 16;
constexpr std::size_t classes = 8;
constexpr feaug::index_t capacity = 1024;

struct sample {
  batch one;
  batch other;
  array<std::int64_t> labels;
};

sample draw(std::mt19937& random) {
  std::normal_distribution<float> noise;
  std::uniform_int_distribution<std::int64_t> label(0, classes - 1);
  sample drawn{.one = {.rows = points, .cols = inputs},
               .other = {.rows = points, .cols = inputs},
               .labels = {}};
  for (std::size_t i = 0; i < points; ++i) {
    drawn.labels.push_back(label(random));
    for (std::size_t k = 0; k < inputs; ++k) {
      // Both views share the point and its own deviation; each adds independent noise.
      const bool of_class = k == static_cast<std::size_t>(drawn.labels[i]);
      const float point = (of_class ? 3.0F : 0.0F) + 0.3F * noise(random);
      drawn.one.row(i)[k] = point + (k < classes ? 0.3F : 1.5F) * noise(random);
      drawn.other.row(i)[k] = point + (k < classes ? 0.3F : 1.5F) * noise(random);
    }
  }
  return drawn;
}

template <class T>
using matrix = feaug::matrix_view<T, context::space>;

matrix<const float> view(const batch& x) {
  return {x.values.data(), static_cast<feaug::index_t>(x.rows),
          static_cast<feaug::index_t>(x.cols)};
}
matrix<float> view(batch& x) {
  return {x.values.data(), static_cast<feaug::index_t>(x.rows),
          static_cast<feaug::index_t>(x.cols)};
}

/// A queue's memory, owned by the program, which can save it.
struct queue_memory {
  array<float> rows = array<float>(capacity * features);
  array<std::int64_t> labels = array<std::int64_t>(capacity);
  array<feaug::index_t> cursor = array<feaug::index_t>(1);
  array<feaug::index_t> size = array<feaug::index_t>(1);

  feaug::support_queue<float, context::space> view() {
    return {.storage = {rows.data(), capacity, features},
            .cursor = cursor.data(),
            .size = size.data(),
            .labels = {labels.data(), capacity}};
  }
};

class trainer {
 public:
  explicit trainer(std::mt19937& random) : random_(random), encoder_(inputs, 64, features, random) {
    for (int k = 0; k < 4; ++k) {
      const sample drawn = draw(random_);
      remember(encoder_.forward(drawn.one), drawn);
      wait_for(ctx_);  // before the rows are freed
    }
  }

  float step() {
    const sample drawn = draw(random_);
    const batch target = encoder_.forward(drawn.one);
    const batch prediction = encoder_.forward(drawn.other);
    batch neighbours{.rows = points, .cols = features};
    batch gradient{.rows = points, .cols = features};
    feaug::nearest(ctx_, queue_.view(), view(target), {.values = view(neighbours)});
    // Neighbours are constants; the predictions receive a gradient.
    array<float> loss(1);
    feaug::info_nce_with_gradients(ctx_, feaug::stop_gradient(view(std::as_const(neighbours))),
                                   feaug::differentiable(view(prediction), view(gradient)),
                                   {loss.data(), 1}, {.temperature = 0.2});
    remember(target, drawn);
    wait_for(ctx_);
    encoder_.backward(gradient);
    encoder_.update(0.05F);
    return loss[0];
  }

  /// The share of new points whose nearest point in the queue has the same class.
  double neighbours_of_own_class() {
    const sample drawn = draw(random_);
    const batch found_for = encoder_.forward(drawn.one);
    array<feaug::index_t> slots(points);
    feaug::nearest(ctx_, queue_.view(), view(found_for),
                   {.indices = {slots.data(), static_cast<feaug::index_t>(points), 1}});
    wait_for(ctx_);
    double right = 0;
    for (std::size_t i = 0; i < points; ++i)
      right += queue_.labels[static_cast<std::size_t>(slots[i])] == drawn.labels[i] ? 1 : 0;
    return right / points;
  }

 private:
  void remember(const batch& rows, const sample& drawn) {
    feaug::enqueue(ctx_, queue_.view(), view(rows), {.labels = {drawn.labels.data(), points}});
  }

  std::mt19937& random_;
  context ctx_;
  queue_memory queue_;
  encoder encoder_;
};

/// Trains; returns whether the share of right neighbours has increased.
bool train() {
  std::mt19937 random(1);
  trainer training(random);
  const double before = training.neighbours_of_own_class();
  for (int step = 1; step <= 300; ++step) {
    const float loss = training.step();
    if (step % 50 == 0) std::printf("step %3d  loss %.3f\n", step, static_cast<double>(loss));
  }
  const double after = training.neighbours_of_own_class();
  std::printf("nearest neighbours of the same class: %.0f %% before, %.0f %% after\n", 100 * before,
              100 * after);
  return after > before;
}

}  // namespace

int main() try {
  return train() ? EXIT_SUCCESS : EXIT_FAILURE;
} catch (const std::exception& error) {  // for example, no GPU
  std::fprintf(stderr, "custom_network: %s\n", error.what());
  return EXIT_FAILURE;
}
