// NNCLR in libtorch: network, optimiser and training loop are PyTorch's; the loss and the queue are
// feaug's.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <utility>

#include "feaug_torch.hpp"

namespace {

namespace F = torch::nn::functional;
using torch::Tensor;

constexpr int64_t points = 256;  // per batch
constexpr int64_t inputs = 32;
constexpr int64_t features = 16;
constexpr int64_t classes = 8;
constexpr int64_t capacity = 2048;
constexpr double temperature = 0.2;
const torch::TensorOptions here = torch::TensorOptions().device(feaug_torch::device);

/// Two views of points of eight classes, which differ in eight of 32 numbers; the others are noise.
struct sample {
  Tensor labels = torch::randint(classes, {points}, here.dtype(torch::kLong));
  Tensor one = view();
  Tensor other = view();

 private:
  [[nodiscard]] Tensor view() const {
    const Tensor of_class = 3 * F::one_hot(labels, classes).to(torch::kFloat32) +
                            0.3 * torch::randn({points, classes}, here);
    return torch::cat({of_class, 1.5 * torch::randn({points, inputs - classes}, here)}, 1);
  }
};

torch::nn::Sequential layers(int64_t from, int64_t hidden, int64_t to) {
  torch::nn::Sequential made(torch::nn::Linear(from, hidden), torch::nn::BatchNorm1d(hidden),
                             torch::nn::ReLU(), torch::nn::Linear(hidden, to));
  made->to(feaug_torch::device);
  return made;
}

/// InfoNCE in plain PyTorch.
Tensor plain_info_nce(const Tensor& queries, const Tensor& keys) {
  const auto unit = [](const Tensor& x) {
    return F::normalize(x, F::NormalizeFuncOptions().dim(1));
  };
  return F::cross_entropy(torch::mm(unit(queries), unit(keys).t()) / temperature,
                          torch::arange(queries.size(0), here));
}

/// Compares loss and gradients with PyTorch's: for whole matrices and for every other row of a
/// matrix, with gradients of one side and of both.
bool is_pytorchs() {
  bool same = true;
  for (const bool keys_want : {false, true}) {
    for (const bool strided : {false, true}) {
      std::vector<Tensor> losses;
      std::vector<Tensor> gradients;
      const Tensor q = torch::randn({100, features}, here);
      const Tensor k = torch::randn({100, features}, here);
      for (const bool ours : {false, true}) {
        const Tensor queries = q.clone().requires_grad_();
        const Tensor keys = k.clone().requires_grad_(keys_want);
        const auto rows = [&](const Tensor& x) {
          return strided ? x.index({torch::indexing::Slice(0, 100, 2)}) : x;
        };
        const Tensor loss = ours ? feaug_torch::info_nce(rows(queries), rows(keys), temperature)
                                 : plain_info_nce(rows(queries), rows(keys));
        (3 * loss).backward();
        losses.push_back(loss.detach());
        gradients.push_back(queries.grad());
        if (keys_want) gradients.push_back(keys.grad());
      }
      const size_t sides = gradients.size() / 2;
      same = same && torch::allclose(losses[0], losses[1], 1e-5, 1e-6);
      for (size_t side = 0; side < sides; ++side)
        same = same && torch::allclose(gradients[side], gradients[sides + side], 1e-4, 1e-6);
    }
  }
  return same;
}

std::shared_ptr<feaug_torch::support_queue> empty_queue() {
  auto made = std::make_shared<feaug_torch::support_queue>(capacity, features);
  made->to(feaug_torch::device);
  return made;
}

class trainer {
 public:
  trainer() : optimiser_(parameters(), torch::optim::AdamOptions(2e-3)) {
    for (int k = 0; k < 4; ++k) remember(sample().one);
  }

  float step() {
    const sample drawn;
    const Tensor target = encoder_->forward(drawn.one);
    const Tensor prediction = predictor_->forward(encoder_->forward(drawn.other));
    const Tensor loss =
        feaug_torch::info_nce(queue_->nearest(target.detach()), prediction, temperature);
    optimiser_.zero_grad();
    loss.backward();
    optimiser_.step();
    queue_->enqueue(target.detach());
    return loss.item<float>();
  }

  /// The share of points whose nearest neighbour in a batch has the same class.
  double neighbours_of_own_class() {
    const torch::NoGradGuard no_gradients;
    const sample drawn;
    const Tensor z = F::normalize(encoder_->forward(drawn.one), F::NormalizeFuncOptions().dim(1));
    const Tensor found = (torch::mm(z, z.t()) - 2 * torch::eye(points, here)).argmax(1);
    return (drawn.labels.index_select(0, found) == drawn.labels)
        .to(torch::kFloat64)
        .mean()
        .item<double>();
  }

  /// Whether a saved and reloaded queue behaves like the original: the same rows are enqueued, and
  /// the same neighbours found.
  bool queue_comes_back() {
    std::stringstream file;
    torch::save(queue_, file);
    auto loaded = empty_queue();
    torch::load(loaded, file);
    const Tensor some = torch::randn({points, features}, here);
    for (const auto& queue : {queue_, loaded}) queue->enqueue(some);
    const Tensor others = torch::randn({points, features}, here);
    return torch::equal(queue_->nearest(others), loaded->nearest(others));
  }

 private:
  std::vector<Tensor> parameters() {
    std::vector<Tensor> all = encoder_->parameters();
    for (const Tensor& parameter : predictor_->parameters()) all.push_back(parameter);
    return all;
  }
  void remember(const Tensor& rows) {
    const torch::NoGradGuard no_gradients;
    queue_->enqueue(encoder_->forward(rows));
  }

  torch::nn::Sequential encoder_ = layers(inputs, 64, features);
  torch::nn::Sequential predictor_ = layers(features, 64, features);
  std::shared_ptr<feaug_torch::support_queue> queue_ = empty_queue();
  torch::optim::Adam optimiser_;
};

}  // namespace

int main() {
  torch::manual_seed(1);
  const bool same = is_pytorchs();
  std::printf("loss and gradients are PyTorch's: %s\n", same ? "yes" : "NO");
  trainer training;
  const double before = training.neighbours_of_own_class();
  for (int step = 1; step <= 200; ++step) {
    const float loss = training.step();
    if (step % 50 == 0) std::printf("step %3d  loss %.3f\n", step, static_cast<double>(loss));
  }
  const double after = training.neighbours_of_own_class();
  std::printf("nearest neighbours of the same class: %.0f %% before, %.0f %% after\n", 100 * before,
              100 * after);
  const bool back = training.queue_comes_back();
  std::printf("the queue comes back from a file: %s\n", back ? "yes" : "NO");
  return same && back && after > before ? EXIT_SUCCESS : EXIT_FAILURE;
}
