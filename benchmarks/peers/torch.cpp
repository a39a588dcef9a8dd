// Eager PyTorch through libtorch: every operation in its usual form, backward by autograd.
#include <torch/torch.h>

#include <map>
#include <utility>

#include "support/peer.hpp"

namespace {

using torch::Tensor;
using tensors = std::vector<Tensor>;
namespace F = torch::nn::functional;

Tensor to_tensor(const bench::matrix& x) {
  return torch::from_blob(const_cast<float*>(x.values.data()), {x.rows, x.cols}).clone();
}

bench::matrix to_matrix(const Tensor& x) {
  const Tensor rows = x.contiguous();
  const float* const first = rows.data_ptr<float>();
  return {x.size(0), x.size(1), std::vector<float>(first, first + rows.numel())};
}

Tensor unit(const Tensor& x) { return F::normalize(x, F::NormalizeFuncOptions().dim(1)); }

Tensor nt_xent(const tensors& in, double temperature) {
  const int64_t rows = in[0].size(0);
  const Tensor z = unit(torch::cat({in[0], in[1]}));
  Tensor logits = torch::mm(z, z.t()) / temperature;
  logits.fill_diagonal_(-INFINITY);
  return F::cross_entropy(logits, torch::arange(2 * rows).roll(rows));
}

Tensor info_nce(const tensors& in, double temperature) {
  const Tensor logits = torch::mm(unit(in[0]), unit(in[1]).t()) / temperature;
  return F::cross_entropy(logits, torch::arange(in[0].size(0)));
}

Tensor symmetric_info_nce(const tensors& in, double temperature) {
  const Tensor logits = torch::mm(unit(in[0]), unit(in[1]).t()) / temperature;
  const Tensor own = torch::arange(in[0].size(0));
  return (F::cross_entropy(logits, own) + F::cross_entropy(logits.t(), own)) / 2;
}

Tensor moco(const tensors& in, double temperature) {
  const Tensor q = unit(in[0]);
  const Tensor positive = (q * in[1]).sum(1, true);
  const Tensor logits = torch::cat({positive, torch::mm(q, in[2].t())}, 1) / temperature;
  return F::cross_entropy(logits, torch::zeros({q.size(0)}, torch::kLong));
}

/// BYOL: the mean over the targets, which are constants.
Tensor negative_cosine(const tensors& in, double /*temperature*/) {
  const Tensor p = unit(in[0]);
  Tensor loss = torch::zeros({});
  for (size_t k = 1; k < in.size(); ++k) loss = loss + (2 - 2 * (p * unit(in[k])).sum(1)).mean();
  return loss / static_cast<double>(in.size() - 1);
}

/// lightly's HypersphereLoss.
Tensor hypersphere(const tensors& in, double /*temperature*/) {
  const Tensor x = unit(in[0]);
  const Tensor y = unit(in[1]);
  const auto uniformity = [](const Tensor& rows) {
    return torch::pdist(rows).square().neg().exp().mean().log();
  };
  return (x - y).norm(2, 1).square().mean() + (uniformity(x) + uniformity(y)) / 2;
}

/// Copies of the inputs as tensors; sets PyTorch's number of threads.
class on_tensors : public bench::contestant {
 public:
  explicit on_tensors(const bench::problem& on) : temperature_(on.temperature) {
    at::set_num_threads(on.threads);
    for (const bench::matrix& x : on.inputs) in_.push_back(to_tensor(x));
  }

 protected:
  tensors in_ = {};
  double temperature_;
};

/// Forward and backward.
class differentiated : public on_tensors {
 public:
  using loss_function = Tensor(const tensors&, double);

  differentiated(const bench::problem& on, loss_function* loss, const std::vector<size_t>& wanted)
      : on_tensors(on), loss_function_(loss) {
    for (const size_t i : wanted) wanted_.push_back(in_[i].requires_grad_());
  }
  void run() override {
    for (Tensor& x : wanted_) x.mutable_grad() = Tensor();
    loss_ = loss_function_(in_, temperature_);
    loss_.backward();
  }
  bench::answer result() override {
    bench::answer out = {.loss = loss_.item<double>()};
    for (const Tensor& x : wanted_) out.gradients.push_back(to_matrix(x.grad()));
    return out;
  }
  double output_bytes() override {
    double bytes = 0;
    for (const Tensor& x : wanted_) bytes += static_cast<double>(x.nbytes());
    return bytes;
  }

 private:
  loss_function* loss_function_;
  tensors wanted_ = {};
  Tensor loss_ = {};
};

/// The argmax of each row of the product with the queue.
Tensor nearest_slots(const Tensor& queue, const Tensor& targets) {
  const torch::NoGradGuard no_gradient;
  return torch::mm(targets, queue.t()).argmax(1);
}

bench::answer neighbours(const Tensor& slots) {
  const int64_t* const first = slots.data_ptr<int64_t>();
  return {.neighbours = {first, first + slots.numel()}};
}

class search : public on_tensors {
 public:
  using on_tensors::on_tensors;
  void run() override { slots_ = nearest_slots(in_[0], in_[1]); }
  bench::answer result() override { return neighbours(slots_); }

 private:
  Tensor slots_ = {};
};

class nnclr : public on_tensors {
 public:
  explicit nnclr(const bench::problem& on) : on_tensors(on) { in_[2].requires_grad_(); }
  void run() override {
    in_[2].mutable_grad() = Tensor();
    slots_ = nearest_slots(in_[0], in_[1]);
    loss_ = info_nce({in_[0].index_select(0, slots_), in_[2]}, temperature_);
    loss_.backward();
    newest().copy_(unit(in_[1]));
  }
  void reset() override { newest().copy_(before_); }
  bench::answer result() override {
    bench::answer out = neighbours(slots_);
    out.loss = loss_.item<double>();
    out.gradients = {to_matrix(in_[2].grad())};
    return out;
  }
  double output_bytes() override { return static_cast<double>(in_[2].nbytes()); }

 private:
  Tensor newest() { return in_[0].slice(0, 0, in_[1].size(0)); }

  Tensor before_ = newest().clone();
  Tensor slots_ = {};
  Tensor loss_ = {};
};

Tensor mask(const Tensor& x) { return x * torch::empty_like(x).bernoulli_(0.8); }
Tensor noise(const Tensor& x) { return x + 0.05 * torch::randn_like(x); }
Tensor interpolate(const Tensor& x) {
  return torch::lerp(x, x.index_select(0, torch::randperm(x.size(0))), 0.5);
}

class augmented : public on_tensors {
 public:
  augmented(const bench::problem& on, Tensor (*policy)(const Tensor&))
      : on_tensors(on), policy_(policy) {}
  void run() override { out_ = policy_(in_[0]); }
  bench::answer result() override {
    const Tensor change = (out_ - in_[0]).to(torch::kDouble);
    return {
        .moments = {change.mean().item<double>(), change.square().mean().sqrt().item<double>()}};
  }
  double output_bytes() override { return static_cast<double>(out_.nbytes()); }

 private:
  Tensor (*policy_)(const Tensor&);
  Tensor out_ = {};
};

/// C = A · Bᵀ, as the ceiling for products on this machine.
class product : public on_tensors {
 public:
  using on_tensors::on_tensors;
  void run() override { torch::mm_out(out_, in_[0], in_[1].t()); }
  bench::answer result() override { return {}; }

 private:
  Tensor out_ = torch::empty({in_[0].size(0), in_[1].size(0)});
};

using maker = std::unique_ptr<bench::contestant> (*)(const bench::problem&);

template <class Contestant, auto... Arguments>
std::unique_ptr<bench::contestant> make(const bench::problem& on) {
  return std::make_unique<Contestant>(on, Arguments...);
}

template <auto Loss, size_t... Wanted>
std::unique_ptr<bench::contestant> loss(const bench::problem& on) {
  return std::make_unique<differentiated>(on, Loss, std::vector<size_t>{Wanted...});
}

const std::map<std::string_view, maker>& operations() {
  static const std::map<std::string_view, maker> all = {
      {"nt_xent", loss<nt_xent, 0, 1>},
      {"info_nce", loss<info_nce, 0, 1>},
      {"symmetric_info_nce", loss<symmetric_info_nce, 0, 1>},
      {"moco", loss<moco, 0>},
      {"negative_cosine", loss<negative_cosine, 0>},
      {"hypersphere", loss<hypersphere, 0, 1>},
      {"nnclr", make<nnclr>},
      {"search", make<search>},
      {"mask", make<augmented, mask>},
      {"noise", make<augmented, noise>},
      {"interpolate", make<augmented, interpolate>},
      {"product", make<product>}};
  return all;
}

bool has(std::string_view operation) { return operations().count(operation) != 0; }

std::unique_ptr<bench::contestant> enter(const bench::problem& on) {
  return operations().at(on.operation)(on);
}

}  // namespace

extern "C" const bench::peer* feaug_bench_peer() {
  static const bench::peer self = {
      .name = "PyTorch", .version = TORCH_VERSION, .has = has, .enter = enter};
  return &self;
}
