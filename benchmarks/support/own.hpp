// Base class of feaug's contestants.
#pragma once

#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "support/peer.hpp"

namespace bench {

class own : public contestant {
 public:
  explicit own(const problem& on) : inputs_(on.inputs), temperature_(on.temperature) {
    ctx_.threads = on.threads;
  }
  [[nodiscard]] double scratch_bytes() const { return static_cast<double>(ctx_.workspace.peak()); }

 protected:
  static feaug::matrix_view<const float> view(const matrix& x) {
    return {x.values.data(), x.rows, x.cols};
  }
  static feaug::matrix_view<float> view(matrix& x) { return {x.values.data(), x.rows, x.cols}; }
  static matrix like(const matrix& x) { return zeros(x.rows, x.cols); }

  [[nodiscard]] feaug::matrix_view<const float> input(std::size_t i) const {
    return view(inputs_[i]);
  }

  feaug::cpu_context ctx_;
  std::vector<matrix> inputs_;
  double temperature_;
};

}  // namespace bench
