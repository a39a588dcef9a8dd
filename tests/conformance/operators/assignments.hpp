// sinkhorn, and swapped_assignment as run_loss wants it.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "arguments.hpp"
#include "feaug/loss/sinkhorn.hpp"
#include "feaug/loss/swapped_assignment.hpp"
#include "operators/arrays.hpp"
#include "operators/operand_input.hpp"
#include "operators/run_loss.hpp"

namespace conformance {

/// An input that a case may leave out, a constant: without it, a view of nothing.
template <class Backend, class T>
class optional_scores {
 public:
  optional_scores(arguments& given, const std::string& name) {
    if (given.has(name)) scores_.emplace(given, name);
  }

  [[nodiscard]] feaug::matrix_view<const T, Backend::space> view() {
    if (!scores_) return {};
    return scores_->value();
  }

 private:
  std::optional<operand_input<Backend, T>> scores_;
};

template <class Backend, class T>
results run_sinkhorn(arguments& given) {
  operand_input<Backend, T> scores(given, "scores");
  optional_scores<Backend, T> extra(given, "extra_scores");
  feaug::sinkhorn_options<T, Backend::space> options;
  options.epsilon = given.option("epsilon", options.epsilon);
  options.iterations = given.option("iterations", options.iterations);
  options.extra_scores = extra.view();
  const tensor& shape = scores.input();
  typename Backend::template array<T> out(unwritten<T>(shape.data.size()));
  typename Backend::context context;
  feaug::sinkhorn(context, scores.value(), view_of<Backend, 2, T>(out, shape), options);
  results got;
  got.add("out", shape.shape, out.to_host());
  return got;
}

template <class Backend, class T>
class swapped_assignment_loss {
 public:
  using backend = Backend;
  using value_type = T;
  using context = typename Backend::context;
  using vector = feaug::vector_view<feaug::compute_t<T>, Backend::space>;
  using const_vector = feaug::vector_view<const feaug::compute_t<T>, Backend::space>;

  explicit swapped_assignment_loss(arguments& given)
      : a_(given, "scores_a"),
        b_(given, "scores_b"),
        extra_a_(given, "extra_scores_a"),
        extra_b_(given, "extra_scores_b"),
        statistics_(unwritten<double>(2 * static_cast<std::size_t>(prototypes()))) {
    options_.temperature = given.option("temperature", options_.temperature);
    options_.epsilon = given.option("epsilon", options_.epsilon);
    options_.iterations = given.option("iterations", options_.iterations);
    options_.reduction = read_reduction(given);
    options_.extra_scores_a = extra_a_.view();
    options_.extra_scores_b = extra_b_.view();
  }

  [[nodiscard]] feaug::reduce reduction() const { return options_.reduction; }
  [[nodiscard]] feaug::index_t losses() const { return a_.input().shape[0]; }
  [[nodiscard]] bool wants_gradient() const { return a_.wants_gradient() || b_.wants_gradient(); }
  void forget_gradients() {
    a_.forget_gradient();
    b_.forget_gradient();
  }
  void add_gradients(results& got, const std::string& route) const {
    a_.add_gradient(got, route);
    b_.add_gradient(got, route);
  }

  void forward(context& ctx, vector loss) {
    feaug::swapped_assignment(ctx, a_.value(), b_.value(), loss, options_,
                              {statistics_.data(), 2 * prototypes()});
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::swapped_assignment_backward(ctx, a_.operand(), b_.operand(),
                                       {statistics_.data(), 2 * prototypes()}, cotangent, options_);
  }
  void with_gradients(context& ctx, vector loss, const_vector row_weights) {
    feaug::swapped_assignment_options<T, Backend::space> options = options_;
    options.row_weights = row_weights;
    feaug::swapped_assignment_with_gradients(ctx, a_.operand(), b_.operand(), loss, options);
  }

 private:
  [[nodiscard]] feaug::index_t prototypes() const { return a_.input().shape[1]; }

  operand_input<Backend, T> a_;
  operand_input<Backend, T> b_;
  optional_scores<Backend, T> extra_a_;
  optional_scores<Backend, T> extra_b_;
  typename Backend::template array<double> statistics_;
  feaug::swapped_assignment_options<T, Backend::space> options_;
};

}  // namespace conformance
