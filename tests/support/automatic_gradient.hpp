// Gradients by Eigen's forward-mode automatic differentiation and by central differences. These
// references share no code with the library.
#pragma once

#include <Eigen/Core>
#include <unsupported/Eigen/AutoDiff>
#include <vector>

namespace testing {

using dual = Eigen::AutoDiffScalar<Eigen::VectorXd>;

struct value_and_gradient {
  double value;
  std::vector<double> gradient;
};

/// f takes a std::vector<dual> of the inputs and returns a dual.
template <class F>
value_and_gradient automatic_gradient(const F& f, const std::vector<double>& x) {
  const auto n = static_cast<Eigen::Index>(x.size());
  std::vector<dual> inputs;
  inputs.reserve(x.size());
  for (Eigen::Index i = 0; i < n; ++i) inputs.emplace_back(x[static_cast<std::size_t>(i)], n, i);
  const dual y = f(inputs);
  std::vector<double> gradient(x.size(), 0.0);
  for (Eigen::Index i = 0; i < y.derivatives().size(); ++i)
    gradient[static_cast<std::size_t>(i)] = y.derivatives()[i];
  return {y.value(), gradient};
}

/// f takes a std::vector<double> and returns a double.
template <class F>
std::vector<double> central_differences(const F& f, std::vector<double> x, double h = 1e-5) {
  std::vector<double> gradient;
  for (double& component : x) {
    const double at = component;
    component = at + h;
    const double above = f(x);
    component = at - h;
    const double below = f(x);
    component = at;
    gradient.push_back((above - below) / (2 * h));
  }
  return gradient;
}

}  // namespace testing
