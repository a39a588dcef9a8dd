// sinkhorn; and swapped_assignment and assignment_loss, whose statistics are potentials.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "feaug/loss/assignment_loss.hpp"
#include "feaug/loss/sinkhorn.hpp"
#include "feaug/loss/swapped_assignment.hpp"
#include "support/operators/loss_adapter.hpp"

namespace conformance {

template <class Backend, class T>
class sinkhorn_input {
 public:
  explicit sinkhorn_input(arguments& given)
      : scores_(given, "scores"),
        padding_(given.is_strided() ? 3 : 0),
        out_(padded(unwritten<T>(shape().data.size())), given.misplaced("out")) {
    options_.epsilon = given.option("epsilon", options_.epsilon);
    options_.iterations = given.option("iterations", options_.iterations);
    if (!given.has("extra_scores")) return;
    extra_.emplace(given, "extra_scores");
    options_.extra_scores = extra_->value();
  }

  void add_assignments(typename Backend::context& ctx, results& got) {
    feaug::sinkhorn(ctx, scores_.value(), out(), options_);
    add_out(got, "");
  }
  /// The potentials; then the assignments again, in place over the scores.
  void add_others(typename Backend::context& ctx, bool misplaced, results& got) {
    const feaug::index_t prototypes = shape().shape[1];
    placed_array<Backend, double> potentials(
        unwritten<double>(static_cast<std::size_t>(prototypes)), misplaced);
    feaug::sinkhorn_potentials(ctx, scores_.value(), {potentials.data(), prototypes}, options_);
    got.add("statistics", {prototypes}, potentials.to_host());
    out_.assign(padded(rounded<T>(shape())));
    feaug::sinkhorn(ctx, out(), out(), options_);
    add_out(got, "in place");
  }

 private:
  [[nodiscard]] const tensor& shape() const { return scores_.input(); }
  [[nodiscard]] std::vector<T> padded(const std::vector<T>& rows) const {
    return with_padding(rows, shape(), padding_);
  }
  feaug::matrix_view<T, Backend::space> out() {
    return view_of<Backend, 2, T>(out_, shape(), padding_);
  }
  void add_out(results& got, const std::string& route) const {
    const auto [rows, damaged] = without_padding(out_.to_host(), shape(), padding_);
    got.add("out", shape().shape, rows, route);
    if (padding_ > 0) got.add_counter("damaged padding of out", damaged);
  }

  operand_input<Backend, T> scores_;
  std::int64_t padding_;
  placed_array<Backend, T> out_;
  std::optional<operand_input<Backend, T>> extra_;
  feaug::sinkhorn_options<T, Backend::space> options_;
};

template <class Backend, class T>
results run_sinkhorn(arguments& given) {
  typename Backend::context context;
  results got;
  sinkhorn_input<Backend, T>(given).add_assignments(context, got);
  return got;
}

/// The outputs of all functions of sinkhorn.
template <class Backend, class T>
results run_all_of_sinkhorn(arguments& given) {
  typename Backend::context context = Backend::context_for(given);
  results got;
  sinkhorn_input<Backend, T> input(given);
  input.add_assignments(context, got);
  input.add_others(context, given.misplaced("potentials"), got);
  return got;
}

template <class Backend, class T>
class swapped_assignment_loss
    : public loss_adapter<Backend, T, feaug::swapped_assignment_options<T, Backend::space>> {
  using base = loss_adapter<Backend, T, feaug::swapped_assignment_options<T, Backend::space>>;

 public:
  using typename base::const_vector;
  using typename base::context;
  using typename base::vector;

  explicit swapped_assignment_loss(arguments& given)
      : base(given),
        a_(base::operand(given, "scores_a")),
        b_(base::operand(given, "scores_b")),
        potentials_(unwritten<double>(2 * static_cast<std::size_t>(a_.input().shape[1])),
                    given.misplaced("statistics")) {
    auto& options = this->options_;
    options.epsilon = given.option("epsilon", options.epsilon);
    options.iterations = given.option("iterations", options.iterations);
    options.extra_scores_a = base::constant_view(given, "extra_scores_a");
    options.extra_scores_b = base::constant_view(given, "extra_scores_b");
  }

  void forward(context& ctx, vector loss) {
    feaug::swapped_assignment(ctx, a_.value(), b_.value(), loss, this->options(), potentials());
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::swapped_assignment_backward(ctx, a_.operand(), b_.operand(), potentials(), cotangent,
                                       this->options());
  }
  void with_gradients(context& ctx, vector loss) {
    feaug::swapped_assignment_with_gradients(ctx, a_.operand(), b_.operand(), loss,
                                             this->options());
  }
  void add_statistics(results& got) const {
    got.add("statistics", {2 * a_.input().shape[1]}, potentials_.to_host());
  }

 private:
  feaug::vector_view<double, Backend::space> potentials() {
    return this->given_.passed("statistics", feaug::vector_view<double, Backend::space>(
                                                 potentials_.data(), 2 * a_.input().shape[1]));
  }

  operand_input<Backend, T>& a_;
  operand_input<Backend, T>& b_;
  placed_array<Backend, double> potentials_;
};

/// The potentials are an input.
template <class Backend, class T>
class assignment_loss
    : public loss_adapter<Backend, T, feaug::assignment_loss_options<T, Backend::space>> {
  using base = loss_adapter<Backend, T, feaug::assignment_loss_options<T, Backend::space>>;

 public:
  using typename base::const_vector;
  using typename base::context;
  using typename base::vector;

  explicit assignment_loss(arguments& given)
      : base(given),
        scores_(base::operand(given, "scores")),
        target_scores_(base::constant(given, "target.scores")),
        potentials_(given, "target.potentials") {
    target_ = {.scores = target_scores_.value(),
               .potentials = potentials_.view(),
               .epsilon = given.option("epsilon", target_.epsilon),
               .iterations = given.option("iterations", target_.iterations)};
  }

  void forward(context& ctx, vector loss) {
    feaug::assignment_loss(ctx, scores_.value(), target_, loss, this->options());
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::assignment_loss_backward(ctx, scores_.operand(), target_, cotangent, this->options());
  }
  void with_gradients(context& ctx, vector loss) {
    feaug::assignment_loss_with_gradients(ctx, scores_.operand(), target_, loss, this->options());
  }

 private:
  operand_input<Backend, T>& scores_;
  operand_input<Backend, T>& target_scores_;
  number_input<Backend, double, 1> potentials_;
  feaug::assignment_target<T, Backend::space> target_;
};

}  // namespace conformance
