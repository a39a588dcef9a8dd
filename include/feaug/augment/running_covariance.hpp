// Running statistics of features, in the caller's memory: mean, and either the covariance with its
// Cholesky factor or the variance of each feature.
#pragma once

#include "feaug/header_begin.hpp"

#include <concepts>
#include <optional>
#include <string_view>
#include <type_traits>

#include "feaug/core/any_context.hpp"
#include "feaug/core/call_memory.hpp"
#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/finite.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// A view of a running mean and covariance of D features. The memory belongs to the caller: a
/// checkpoint that saves and restores these bytes continues bit-identically. Initialise *count = 0;
/// the rest needs no initialisation. All values are double, whatever the type of the features. On a
/// GPU everything is in device memory, the count too.
template <memory_space Space = memory_space::host>
struct running_covariance {
  vector_view<double, Space> mean = {};        ///< D
  matrix_view<double, Space> covariance = {};  ///< D × D: Σ, biased (divided by the number of rows)
  matrix_view<double, Space> factor = {};      ///< D × D: L, zeros above the diagonal
  index_t* count = nullptr;                    ///< rows seen
};

/// The same for variances only: D numbers instead of D × D, as if features were independent.
template <memory_space Space = memory_space::host>
struct running_variance {
  vector_view<double, Space> mean = {};       ///< D
  vector_view<double, Space> variance = {};   ///< D, biased
  vector_view<double, Space> deviation = {};  ///< D: square roots of variance + ridge
  index_t* count = nullptr;                   ///< rows seen
};

/// Either of the two.
template <class State, memory_space Space = memory_space::host>
concept running_statistics =
    std::same_as<State, running_covariance<Space>> || std::same_as<State, running_variance<Space>>;

struct covariance_options {
  /// Not set: all rows ever seen have equal weight. Set: an exponential moving average; each update
  /// moves the state by 1 − momentum towards the mean and covariance of the batch. In both cases
  /// the first batch is taken over unchanged.
  std::optional<double> momentum = {};
  /// factor·factorᵀ = Σ + ridge · (mean variance) · identity. With fewer rows than features, or
  /// dependent features, some directions have no variance: noise includes them only if ridge > 0.
  double ridge = 1e-6;
};

namespace detail {

/// The weight of a batch in the updated state.
struct batch_share {
  double weight;  ///< of the batch, in (0, 1]

  FEAUG_HD batch_share(bool moving, double momentum, index_t count, index_t rows) : weight(1) {
    if (count > 0) {
      weight =
          moving ? 1 - momentum : static_cast<double>(rows) / static_cast<double>(count + rows);
    }
  }

  /// With weight 1 `old` is not read: it may be uninitialised.
  [[nodiscard]] FEAUG_HD double mean(const double& old, double batch) const {
    return feaug::detail::is_equal(weight, 1) ? batch : old + weight * (batch - old);
  }
  /// An element of the covariance; the shifts are the differences of the batch's and the state's
  /// means.
  [[nodiscard]] FEAUG_HD double covariance(const double& old, double batch, double shift_i,
                                           double shift_j) const {
    if (feaug::detail::is_equal(weight, 1)) return batch;
    return (1 - weight) * (old + weight * shift_i * shift_j) + weight * batch;
  }
};

/// Calls visit(name, view) for every part of a state.
template <memory_space S, class Visit>
void for_each_view(const running_covariance<S>& state, const Visit& visit) {
  visit("state.mean", state.mean);
  visit("state.covariance", state.covariance);
  visit("state.factor", state.factor);
  visit("state.count", vector_view<index_t, S>(state.count, 1));
}
template <memory_space S, class Visit>
void for_each_view(const running_variance<S>& state, const Visit& visit) {
  visit("state.mean", state.mean);
  visit("state.variance", state.variance);
  visit("state.deviation", state.deviation);
  visit("state.count", vector_view<index_t, S>(state.count, 1));
}

}  // namespace detail

namespace check {

inline void rows_counted(std::string_view op, const index_t* count, memory_space space) {
  if (count == nullptr) {
    fail(op, "state.count", "a null pointer",
         space == memory_space::host ? "a counter in the host's memory"
                                     : "a counter in device memory");
  }
  if (space == memory_space::host && *count < 0)
    fail(op, "state.count", text(*count), "a number of at least 0");
}

/// Adds the parts of a state to the arguments that a call writes.
template <class State>
call_memory& add_state(call_memory& memory, const State& state) {
  feaug::detail::for_each_view(
      state, [&](std::string_view name, const auto& view) { memory.writes(name, view); });
  return memory;
}

/// Checks a state for x's number of columns. A count in device memory is not read.
template <memory_space S>
void valid(std::string_view op, const running_covariance<S>& state, index_t cols) {
  writable(op, "state.mean", state.mean);
  writable(op, "state.covariance", state.covariance);
  writable(op, "state.factor", state.factor);
  has_size(op, "state.mean", state.mean, cols, "the columns of x");
  has_shape(op, "state.covariance", state.covariance, cols, cols, "the columns of x");
  has_shape(op, "state.factor", state.factor, cols, cols, "the columns of x");
  rows_counted(op, state.count, S);
  call_memory memory(op);
  add_state(memory, state).require_apart();
}
template <memory_space S>
void valid(std::string_view op, const running_variance<S>& state, index_t cols) {
  writable(op, "state.mean", state.mean);
  writable(op, "state.variance", state.variance);
  writable(op, "state.deviation", state.deviation);
  has_size(op, "state.mean", state.mean, cols, "the columns of x");
  has_size(op, "state.variance", state.variance, cols, "the columns of x");
  has_size(op, "state.deviation", state.deviation, cols, "the columns of x");
  rows_counted(op, state.count, S);
  call_memory memory(op);
  add_state(memory, state).require_apart();
}

/// Checks the arguments of update_covariance.
template <class State, class T, memory_space S>
void update_covariance_arguments(const State& state, const matrix_view<const T, S>& x,
                                 const covariance_options& options) {
  constexpr std::string_view op = "update_covariance";
  readable(op, "x", x);
  valid(op, state, x.cols());
  call_memory memory(op);
  add_state(memory, state).reads("x", x).require_apart();
  if (options.momentum.has_value()) within(op, "momentum", *options.momentum, 0.0, 1.0);
  if (!detail::is_finite(options.ridge) || options.ridge < 0)
    fail(op, "ridge", text(options.ridge), "a finite number of at least 0");
}

}  // namespace check

namespace detail {

/// Checks that the context's processor can access a state.
template <any_context Context, running_statistics<Context::space> State>
void require_state_reachable(const Context& ctx, std::string_view op, const State& state) {
  for_each_view(state, [&](std::string_view name, const auto& view) {
    require_reachable(ctx, op, name, view);
  });
}

/// A context's implementation: update, called with checked arguments.
template <class Context>
struct running_covariance_on {
  static_assert(is_included<Context>,
                "include feaug/cpu/augment/running_covariance.hpp or "
                "feaug/cuda/augment/running_covariance.cuh");
};

}  // namespace detail

/// Updates the state with the rows of x (N × D), and factors its covariance:
///
///   mean ← mean + w·δ,  Σ ← (1 − w)(Σ + w·δδᵀ) + w·Σ_batch,  δ = mean_batch − mean,
///   w = N / (count + N), or 1 − momentum;  count ← count + N
///   factor ← L, L·Lᵀ = Σ + ridge · trace(Σ)/D · identity
///
/// A running_variance keeps only the diagonal of Σ, and instead of the factor
///
///   deviation_j ← √(variance_j + ridge · the mean variance)
///
/// Where Σ plus ridge is only semi-definite, L has columns of zeros, and L·Lᵀ is still correct. The
/// state is a constant: there is no gradient. If x has no rows, nothing changes. NaN or ∞ in x
/// makes the affected elements of the state NaN permanently.
///
/// Throws argument_error, before anything is written, for shapes, overlaps, a negative count,
/// momentum outside [0, 1], a negative ridge. On a GPU the count is read when the kernels run, so a
/// negative one is not an error. Source: the running covariances of ISDA (Wang et al., arXiv
/// 1909.12220), over all rows instead of for each class.
template <any_context Context, running_statistics<Context::space> State, class X,
          class T = std::remove_const_t<X>>
requires element<T>
void update_covariance(Context& ctx, const State& state, const matrix_view<X, Context::space>& x,
                       const covariance_options& options = {}) {
  constexpr std::string_view op = "update_covariance";
  const matrix_view<const T, Context::space> batch = x;
  check::update_covariance_arguments(state, batch, options);
  if (batch.empty()) return;
  require_reachable(ctx, op, "x", batch);
  detail::require_state_reachable(ctx, op, state);
  detail::running_covariance_on<Context>::template update<T>(ctx, state, batch, options);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
