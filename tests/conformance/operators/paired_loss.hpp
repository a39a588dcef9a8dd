// What losses of two matrices, row against row, share for run_loss: both sides, their gradients and
// the reduction.
#pragma once

#include <string>

#include "arguments.hpp"
#include "feaug/core/element.hpp"
#include "operators/operand_input.hpp"
#include "operators/run_loss.hpp"

namespace conformance {

/// `Options` are the operator's own.
template <class Backend, class T, class Options>
class paired_loss {
 public:
  using backend = Backend;
  using value_type = T;
  using context = typename Backend::context;
  using vector = feaug::vector_view<feaug::compute_t<T>, Backend::space>;
  using const_vector = feaug::vector_view<const feaug::compute_t<T>, Backend::space>;

  paired_loss(arguments& given, const std::string& first, const std::string& second)
      : first_(given, first), second_(given, second) {
    options_.reduction = read_reduction(given);
  }

  [[nodiscard]] feaug::reduce reduction() const { return options_.reduction; }
  [[nodiscard]] feaug::index_t losses() const { return first_.input().shape[0]; }
  [[nodiscard]] bool wants_gradient() const {
    return first_.wants_gradient() || second_.wants_gradient();
  }
  void forget_gradients() {
    first_.forget_gradient();
    second_.forget_gradient();
  }
  void add_gradients(results& got, const std::string& route) const {
    first_.add_gradient(got, route);
    second_.add_gradient(got, route);
  }

 protected:
  [[nodiscard]] Options weighted(const const_vector& row_weights) const {
    Options options = options_;
    options.row_weights = row_weights;
    return options;
  }

  operand_input<Backend, T> first_;
  operand_input<Backend, T> second_;
  Options options_;
};

}  // namespace conformance
