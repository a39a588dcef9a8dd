// Running statistics of features, in the host's own memory: their mean, and their covariance with
// its Cholesky factor, or each feature's variance alone.
#pragma once

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/macros.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/cholesky.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/scaled_rows.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// A view of a running mean and covariance of D features. All of it belongs to the host, so its
/// checkpoint saves it, and a state over the restored bytes goes on bit for bit. Begin with *count
/// = 0; the rest needs no value. double throughout, whatever the features are. On a GPU all of it
/// is device memory, the count too.
template <memory_space Space = memory_space::host>
struct running_covariance {
  vector_view<double, Space> mean = {};        ///< D
  matrix_view<double, Space> covariance = {};  ///< D × D: Σ, biased (divided by the rows)
  matrix_view<double, Space> factor = {};      ///< D × D: L, zeros above its diagonal
  index_t* count = nullptr;                    ///< rows seen
};

/// The same for the variances alone: D numbers instead of D × D, as if features were independent.
template <memory_space Space = memory_space::host>
struct running_variance {
  vector_view<double, Space> mean = {};       ///< D
  vector_view<double, Space> variance = {};   ///< D, biased
  vector_view<double, Space> deviation = {};  ///< D: the square roots of variance + ridge
  index_t* count = nullptr;                   ///< rows seen
};

struct covariance_options {
  /// None: every row ever seen weighs the same. Else what the state keeps when it is updated: it
  /// moves by 1 − momentum towards the batch's own mean and covariance. The first batch is taken
  /// as it is either way.
  std::optional<double> momentum = {};
  /// factor·factorᵀ = Σ + ridge · (the mean variance) · identity. Fewer rows than features, or
  /// features that depend on each other, leave directions without variance: with a ridge noise
  /// reaches them, with 0 it does not.
  double ridge = 1e-6;
};

namespace detail {

/// What part of a state a batch becomes.
struct batch_share {
  double weight;  ///< the batch's, in (0, 1]

  FEAUG_HD batch_share(bool moving, double momentum, index_t count, index_t rows) : weight(1) {
    if (count > 0) {
      weight =
          moving ? 1 - momentum : static_cast<double>(rows) / static_cast<double>(count + rows);
    }
  }

  /// A state that has seen nothing may hold anything: it is not read.
  [[nodiscard]] FEAUG_HD double mean(const double& old, double batch) const {
    return weight == 1 ? batch : old + weight * (batch - old);
  }
  /// An element of the covariance; `shift`s are how far the batch's means lie from the state's.
  [[nodiscard]] FEAUG_HD double covariance(const double& old, double batch, double shift_i,
                                           double shift_j) const {
    if (weight == 1) return batch;
    return (1 - weight) * (old + weight * shift_i * shift_j) + weight * batch;
  }
};

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

/// The memory of a state lies apart from that of another argument.
template <class T, memory_space S>
void apart(std::string_view op, std::string_view argument, const matrix_view<T, S>& view,
           const running_covariance<S>& state) {
  apart(op, argument, view, "state.mean", detail::as_column(state.mean));
  apart(op, argument, view, "state.covariance", state.covariance);
  apart(op, argument, view, "state.factor", state.factor);
}
template <class T, memory_space S>
void apart(std::string_view op, std::string_view argument, const matrix_view<T, S>& view,
           const running_variance<S>& state) {
  apart(op, argument, view, "state.mean", detail::as_column(state.mean));
  apart(op, argument, view, "state.variance", detail::as_column(state.variance));
  apart(op, argument, view, "state.deviation", detail::as_column(state.deviation));
}

/// A state of features as many as x has columns. A count in device memory is not read.
template <memory_space S>
void valid(std::string_view op, const running_covariance<S>& state, index_t cols) {
  writable(op, "state.mean", state.mean);
  writable(op, "state.covariance", state.covariance);
  writable(op, "state.factor", state.factor);
  has_size(op, "state.mean", state.mean, cols, "the columns of x");
  has_shape(op, "state.covariance", state.covariance, cols, cols, "the columns of x");
  has_shape(op, "state.factor", state.factor, cols, cols, "the columns of x");
  apart(op, "state.covariance", state.covariance, "state.mean", detail::as_column(state.mean));
  apart(op, "state.factor", state.factor, "state.mean", detail::as_column(state.mean));
  apart(op, "state.factor", state.factor, "state.covariance", state.covariance);
  rows_counted(op, state.count, S);
}
template <memory_space S>
void valid(std::string_view op, const running_variance<S>& state, index_t cols) {
  writable(op, "state.mean", state.mean);
  writable(op, "state.variance", state.variance);
  writable(op, "state.deviation", state.deviation);
  has_size(op, "state.mean", state.mean, cols, "the columns of x");
  has_size(op, "state.variance", state.variance, cols, "the columns of x");
  has_size(op, "state.deviation", state.deviation, cols, "the columns of x");
  apart(op, "state.variance", state.variance, "state.mean", state.mean);
  apart(op, "state.deviation", state.deviation, "state.mean", state.mean);
  apart(op, "state.deviation", state.deviation, "state.variance", state.variance);
  rows_counted(op, state.count, S);
}

/// The arguments of update_covariance.
template <class State, class T, memory_space S>
void update_covariance_arguments(const State& state, const matrix_view<const T, S>& x,
                                 const covariance_options& options) {
  constexpr std::string_view op = "update_covariance";
  readable(op, "x", x);
  valid(op, state, x.cols());
  apart(op, "x", x, state);
  if (options.momentum.has_value()) within(op, "momentum", *options.momentum, 0.0, 1.0);
  if (!(options.ridge >= 0) || !std::isfinite(options.ridge))
    fail(op, "ridge", text(options.ridge), "a finite number of at least 0");
}

}  // namespace check

namespace cpu {

inline constexpr index_t covariance_columns = 64;  ///< that a worker sums at once

/// work(first column, columns) for all columns, in parallel.
template <class Work>
void for_each_column_block(cpu_context& ctx, index_t cols, const Work& work) {
  for_each_block(ctx, (cols + covariance_columns - 1) / covariance_columns,
                 [&](index_t block, int) {
                   const index_t first = block * covariance_columns;
                   work(first, std::min(covariance_columns, cols - first));
                 });
}

/// sums[j] = Σ_i term(x_ij, j), in order of rows.
template <element T, class Term>
void column_sums(cpu_context& ctx, const matrix_view<const T>& x, const Term& term, double* sums) {
  for_each_column_block(ctx, x.cols(), [&](index_t first, index_t count) {
    std::fill_n(sums + first, count, 0.0);
    for (index_t i = 0; i < x.rows(); ++i) {
      const T* row = x.row(i);
      for (index_t j = first; j < first + count; ++j)
        sums[j] += term(static_cast<double>(load(row[j])), j);
    }
  });
}

template <element T>
void column_means(cpu_context& ctx, const matrix_view<const T>& x, double* means) {
  column_sums(
      ctx, x, [](double value, index_t) { return value; }, means);
  for (index_t j = 0; j < x.cols(); ++j) means[j] /= static_cast<double>(x.rows());
}

inline double mean_of(const double* values, index_t stride, index_t count) {
  double sum = 0;
  for (index_t j = 0; j < count; ++j) sum += values[j * stride];
  return sum / static_cast<double>(count);
}

}  // namespace cpu

/// Takes the rows of x (N × D) into the state, and factors its covariance:
///
///   mean ← mean + w·δ,  Σ ← (1 − w)(Σ + w·δδᵀ) + w·Σ_batch,  δ = mean_batch − mean,
///   w = N / (count + N), or 1 − momentum;  count ← count + N
///   factor ← L, L·Lᵀ = Σ + ridge · trace(Σ)/D · identity
///
/// Where Σ with its ridge is only semi-definite, L has columns of zeros there, and L·Lᵀ is right
/// still. The state is a constant: there is no gradient. No rows: nothing changes. NaN or ∞ in x
/// makes what it touches of the state NaN, for good.
///
/// Throws argument_error, before anything is written, for shapes, overlaps, a negative count,
/// momentum outside [0, 1], a negative ridge. Scratch: 32·D numbers and rows of D, at most 4 MiB of
/// rows. Source: the running covariances of ISDA (Wang et al., arXiv 1909.12220), of all rows
/// instead of a class each.
template <element T>
void update_covariance(cpu_context& ctx, const running_covariance<>& state,
                       const matrix_view<const T>& x, const covariance_options& options = {}) {
  check::update_covariance_arguments(state, x, options);
  const index_t rows = x.rows();
  const index_t cols = x.cols();
  if (x.empty()) return;
  const detail::batch_share share(options.momentum.has_value(), options.momentum.value_or(0),
                                  *state.count, rows);
  workspace::scope scope(ctx.workspace);
  auto* means = scope.take<double>(cols);
  auto* shift = scope.take<double>(cols);
  cpu::column_means(ctx, x, means);
  for (index_t j = 0; j < cols; ++j) shift[j] = share.weight == 1 ? 0 : means[j] - state.mean[j];

  // Rows are centred a few MiB at a time; each block of Σ's rows then adds its products, the lower
  // half alone.
  constexpr index_t chunk_elements = index_t{1} << 19;
  const index_t chunk = std::clamp<index_t>(chunk_elements / cols, 1, rows);
  auto* centred = scope.take<double>(chunk * cols);
  const index_t blocks = (cols + 7) / 8;
  for (index_t begin = 0; begin < rows; begin += chunk) {
    const index_t count = std::min(chunk, rows - begin);
    cpu::for_each_row_block(ctx, count, cols, [&](index_t first, index_t some, int) {
      for (index_t i = first; i < first + some; ++i) {
        for (index_t j = 0; j < cols; ++j)
          centred[i * cols + j] = static_cast<double>(load(x(begin + i, j))) - means[j];
      }
    });
    cpu::for_each_block(ctx, blocks, [&](index_t block, int) {
      for (index_t i = 8 * block; i < std::min(8 * block + 8, cols); ++i) {
        double* sums = state.factor.row(i);  // until the end it holds the batch's sums
        if (begin == 0) std::fill_n(sums, i + 1, 0.0);
        cpu::add_scaled_rows(sums, i + 1, centred + i, cols, centred, cols, count);
        if (begin + count < rows) continue;
        for (index_t j = 0; j <= i; ++j) {
          double& element = state.covariance(i, j);
          element =
              share.covariance(element, sums[j] / static_cast<double>(rows), shift[i], shift[j]);
        }
      }
    });
  }
  for (index_t i = 0; i < cols; ++i) {
    for (index_t j = i + 1; j < cols; ++j) state.covariance(i, j) = state.covariance(j, i);
  }
  for (index_t j = 0; j < cols; ++j) state.mean[j] = share.mean(state.mean[j], means[j]);
  *state.count += rows;
  const double variance =
      cpu::mean_of(state.covariance.data, state.covariance.row_stride() + 1, cols);
  cpu::cholesky(ctx, state.covariance, options.ridge * variance, state.factor);
}

/// The same for variances alone: deviation_j ← √(variance_j + ridge · the mean variance). Scratch:
/// two numbers a column.
template <element T>
void update_covariance(cpu_context& ctx, const running_variance<>& state,
                       const matrix_view<const T>& x, const covariance_options& options = {}) {
  check::update_covariance_arguments(state, x, options);
  const index_t rows = x.rows();
  const index_t cols = x.cols();
  if (x.empty()) return;
  const detail::batch_share share(options.momentum.has_value(), options.momentum.value_or(0),
                                  *state.count, rows);
  workspace::scope scope(ctx.workspace);
  auto* means = scope.take<double>(cols);
  auto* squares = scope.take<double>(cols);
  cpu::column_means(ctx, x, means);
  cpu::column_sums(
      ctx, x, [means](double value, index_t j) { return (value - means[j]) * (value - means[j]); },
      squares);
  for (index_t j = 0; j < cols; ++j) {
    const double shift = share.weight == 1 ? 0 : means[j] - state.mean[j];
    state.variance[j] =
        share.covariance(state.variance[j], squares[j] / static_cast<double>(rows), shift, shift);
    state.mean[j] = share.mean(state.mean[j], means[j]);
  }
  *state.count += rows;
  const double ridge =
      options.ridge * cpu::mean_of(state.variance.data, state.variance.strides[0], cols);
  for (index_t j = 0; j < cols; ++j) state.deviation[j] = std::sqrt(state.variance[j] + ridge);
}

/// x as a view that may write, too.
template <class State, element T>
void update_covariance(cpu_context& ctx, const State& state, const matrix_view<T>& x,
                       const covariance_options& options = {}) {
  update_covariance(ctx, state, matrix_view<const T>(x), options);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
