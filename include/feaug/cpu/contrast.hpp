// The two passes over logits that every contrastive loss is made of. Logits live in a tile and
// never leave the cache.
//
// Both walk the rows in blocks and, for a block, the columns in chunks: the tile is one small
// matrix product, and what is done with it happens at once. A block's results depend on nothing
// that another block writes, so blocks are spread over threads without changing a bit. The positive
// is left out of the soft-max sums: with n = log Σ_{j≠p} exp s_j,
//     loss = log(1 + exp(n − s_p)),     1 − p_p = σ(n − s_p),
// which is exact where the positive wins by far; forming 1 − p_p by subtraction would lose every
// digit there.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "feaug/core/context.hpp"
#include "feaug/core/element.hpp"
#include "feaug/cpu/exponential.hpp"
#include "feaug/cpu/lanes.hpp"
#include "feaug/cpu/parallel.hpp"
#include "feaug/cpu/row_stack.hpp"
#include "feaug/cpu/tile_map.hpp"
#include "feaug/loss/pairing.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Rows against columns: s_ij = scale · row_i · column_j.
template <element T>
struct contrast {
  row_stack<T> rows;
  row_stack<T> columns;
  row_stack<T> positives;  ///< what pairs points into
  feaug::detail::pairing pairs = {};
  bool positives_are_columns =
      true;          ///< column positive(i) is row i's positive, to be left out of its sum
  index_t cols = 0;  ///< features
  double scale = 1;  ///< 1 / temperature
  feaug::detail::labelling labels = {};  ///< if given, they name the positives, not `pairs`
  feaug::detail::exclusion<> excluded = {};

  /// The same with the sides exchanged, for gradients by the columns.
  [[nodiscard]] contrast swapped() const {
    contrast other = *this;
    std::swap(other.rows, other.columns);
    other.positives = rows;
    return other;
  }
};

/// What a soft-max over the columns leaves of a row.
struct row_statistics {
  double log_sum;  ///< n = log Σ exp s_j over the columns but the positive; −∞ if there is no other
  double positive_cosine;  ///< row · positive; 0 where the row has none
  double mean_cosine;  ///< Σ softmax_j · (row · column_j) over the same columns; 0 unless asked for
  /// With labels, the mean of the positives' logits, each rounded as it is in log_sum: where they
  /// win by far, little is left of the difference. positive_cosine is their mean cosine.
  double positive_logit = 0;
};

namespace detail {

/// How the matrix of logits is cut. By shape only: never by thread count.
struct tiling {
  index_t block_rows;
  index_t chunk_cols;

  tiling(index_t rows, index_t features) {
    // Operands of a tile fit the second-level cache; a batch of some hundred rows still makes eight
    // blocks to share out.
    constexpr index_t operand_elements = 1 << 15;
    const index_t fitting = std::max<index_t>(8, operand_elements / std::max<index_t>(1, features));
    const index_t eighth = (rows + 63) / 64 * 8;
    block_rows = std::min({fitting, std::max<index_t>(8, eighth), index_t{128}});
    chunk_cols = std::min<index_t>(fitting, 256);
  }
};

/// One worker's tile: packed rows, packed columns, their products.
template <element T>
class logit_tile {
 public:
  using C = compute_t<T>;

  logit_tile(workspace::scope& scratch, const contrast<T>& problem, const tiling& cut)
      : problem_(&problem),
        rows_(scratch.take<C>(cut.block_rows * problem.cols)),
        columns_(scratch.take<C>(cut.chunk_cols * problem.cols)),
        products_(scratch.take<C>(cut.block_rows * cut.chunk_cols)) {}

  void load_rows(index_t begin, index_t count) {
    first_row_ = begin;
    row_count_ = count;
    problem_->rows.pack(begin, count, problem_->cols, rows_);
  }

  /// products = rows · columnsᵀ for columns begin … begin + count − 1.
  void multiply(index_t begin, index_t count) {
    first_column_ = begin;
    column_count_ = count;
    problem_->columns.pack(begin, count, problem_->cols, columns_);
    products().noalias() = tile_map<C>(rows_, row_count_, problem_->cols) *
                           tile_map<C>(columns_, count, problem_->cols).transpose();
  }

  /// act(first column, how many) for the chunks of all columns, each multiplied first.
  template <class Act>
  void for_each_chunk(const tiling& cut, const Act& act) {
    const index_t columns = problem_->columns.rows();
    for (index_t first = 0; first < columns; first += cut.chunk_cols) {
      const index_t width = std::min(cut.chunk_cols, columns - first);
      multiply(first, width);
      act(first, width);
    }
  }

  /// sums += products · columns
  void add_weighted_columns(C* sums) {
    tile_map<C>(sums, row_count_, problem_->cols).noalias() +=
        products() * tile_map<C>(columns_, column_count_, problem_->cols);
  }

  [[nodiscard]] C* row(index_t i) { return products_ + i * column_count_; }

  /// act(position in the tile's row, whether that column has row i's label) for all columns of the
  /// tile.
  template <class Act>
  void for_each_labelled(index_t i, const Act& act) const {
    const index_t* const labels = problem_->labels.label;
    const index_t* const columns = labels + first_column_;
    const index_t own = labels[first_row_ + i];
    for_each_in_lanes(column_count_,
                      [&act, columns, own](index_t j) { act(j, columns[j] == own); });
  }

  /// Σ of the logits in row i's tile whose columns have its label; its own column holds 0.
  [[nodiscard]] double sum_of_positives(index_t i, C scale) {
    const C* const cosines = row(i);
    const index_t* const labels = problem_->labels.label;
    const index_t* const columns = labels + first_column_;
    const index_t own = labels[first_row_ + i];
    return sum_of_terms<C>(
        column_count_, [=](index_t j) { return columns[j] == own ? scale * cosines[j] : C{0}; });
  }

  /// act(position in the tile's row) for the columns that row i leaves out and that are in the
  /// tile.
  template <class Act>
  void for_each_left_out(index_t i, const Act& act) const {
    const index_t global = first_row_ + i;
    const auto visit = [&](index_t column) {
      if (column >= first_column_ && column < first_column_ + column_count_)
        act(column - first_column_);
    };
    if (problem_->positives_are_columns) visit(problem_->pairs.positive(global));
    if (problem_->pairs.self) visit(global + problem_->pairs.self_shift);
    if (!problem_->excluded.given()) return;
    for (index_t j = 0; j < column_count_; ++j) {
      if (problem_->excluded.contains(global, first_column_ + j)) act(j);
    }
  }

 private:
  tile_map<C> products() { return {products_, row_count_, column_count_}; }

  const contrast<T>* problem_;
  C* rows_;
  C* columns_;
  C* products_;
  index_t first_row_ = 0;
  index_t row_count_ = 0;
  index_t first_column_ = 0;
  index_t column_count_ = 0;
};

/// body(first row, row count, worker) for the blocks of rows, with scratch made for each worker by
/// `make`.
template <class Make, class Body>
void for_each_tile_row(cpu_context& ctx, index_t rows, const tiling& cut, const Make& make,
                       const Body& body) {
  const index_t blocks = (rows + cut.block_rows - 1) / cut.block_rows;
  using worker_scratch = decltype(make());
  std::vector<worker_scratch> scratch;
  scratch.reserve(static_cast<std::size_t>(worker_count(ctx, blocks)));
  for (int worker = 0; worker < worker_count(ctx, blocks); ++worker) scratch.push_back(make());
  for_each_block(ctx, blocks, [&](index_t block, int worker) {
    const index_t begin = block * cut.block_rows;
    body(begin, std::min(cut.block_rows, rows - begin), scratch[static_cast<std::size_t>(worker)]);
  });
}

/// A running soft-max sum of one row: Σ exp(s − shift) so far.
template <class C>
struct running_sum {
  C shift = -std::numeric_limits<C>::infinity();
  double sum = 0;
  double cosine_sum = 0;
  double positive_sum = 0;  ///< of logits; with labels

  /// Takes in a chunk of cosines, which become exp(s − shift); what was summed before is to be
  /// multiplied by the result.
  C take(C* cosines, index_t count, C scale, C* copy) {
    const C before = shift;
    shift = std::max(shift, scale * largest_of(cosines, count));
    // Nothing but −∞ (all left out) or NaN: any finite shift gives the 0 or the NaN that it must
    // be.
    const C used = std::isfinite(shift) ? shift : C{0};
    if (copy != nullptr) std::copy_n(cosines, count, copy);
    exponentials(cosines, count, scale, [used](index_t) { return used; });
    const C rescale = std::isfinite(before) ? std::exp(before - used) : C{1};
    sum = sum * static_cast<double>(rescale) + sum_of(cosines, count);
    if (copy != nullptr) {
      double chunk_cosines = 0;
      for (index_t j = 0; j < count; ++j) {
        // What is left out has weight 0 and cosine −∞.
        if (cosines[j] != C{0})
          chunk_cosines += static_cast<double>(cosines[j]) * static_cast<double>(copy[j]);
      }
      cosine_sum = cosine_sum * static_cast<double>(rescale) + chunk_cosines;
    }
    return rescale;
  }

  [[nodiscard]] double log_sum() const {
    if (sum == 0) return -std::numeric_limits<double>::infinity();
    return (std::isfinite(shift) ? static_cast<double>(shift) : 0.0) + std::log(sum);
  }
};

}  // namespace detail

/// The soft-max of every row over its columns, the positive left out. For every row, once and in
/// any order,
///     finish(i, row_statistics, mean, features)
/// where mean = Σ softmax_j · column_j over those columns, an array of `cols` numbers to keep or to
/// change at will if `with_mean`, else null. One product a logit, two with the mean: with stopped
/// columns this is the loss and all its gradient.
template <element T, class Finish>
void soft_max_pass(cpu_context& ctx, const contrast<T>& problem, bool with_mean,
                   bool with_mean_cosine, const Finish& finish) {
  using C = compute_t<T>;
  const detail::tiling cut(problem.rows.rows(), problem.cols);
  const auto scale = static_cast<C>(problem.scale);
  workspace::scope scratch(ctx.workspace);
  struct worker_scratch {
    detail::logit_tile<T> tile;
    C* means;
    C* cosines;
    detail::running_sum<C>* sums;
  };
  const auto make = [&] {
    return worker_scratch{
        .tile = detail::logit_tile<T>(scratch, problem, cut),
        .means = with_mean ? scratch.take<C>(cut.block_rows * problem.cols) : nullptr,
        .cosines = with_mean_cosine ? scratch.take<C>(cut.chunk_cols) : nullptr,
        .sums = scratch.take<detail::running_sum<C>>(cut.block_rows)};
  };
  detail::for_each_tile_row(
      ctx, problem.rows.rows(), cut, make, [&](index_t begin, index_t count, worker_scratch& my) {
        my.tile.load_rows(begin, count);
        std::fill_n(my.sums, count, detail::running_sum<C>{});
        if (with_mean) std::fill_n(my.means, count * problem.cols, C{0});
        my.tile.for_each_chunk(cut, [&](index_t /*first*/, index_t width) {
          for (index_t i = 0; i < count; ++i) {
            C* cosines = my.tile.row(i);
            if (problem.labels.given()) {
              my.tile.for_each_left_out(i, [&](index_t j) { cosines[j] = C{0}; });
              my.sums[i].positive_sum += my.tile.sum_of_positives(i, scale);
            }
            my.tile.for_each_left_out(
                i, [&](index_t j) { cosines[j] = -std::numeric_limits<C>::infinity(); });
            const C rescale = my.sums[i].take(cosines, width, scale, my.cosines);
            if (with_mean && rescale != C{1}) {
              for (index_t d = 0; d < problem.cols; ++d) my.means[i * problem.cols + d] *= rescale;
            }
          }
          if (with_mean) my.tile.add_weighted_columns(my.means);
        });
        for (index_t i = 0; i < count; ++i) {
          const detail::running_sum<C>& sum = my.sums[i];
          const double share = sum.sum == 0 ? 0.0 : 1.0 / sum.sum;
          C* mean = with_mean ? my.means + i * problem.cols : nullptr;
          for (index_t d = 0; with_mean && d < problem.cols; ++d) mean[d] *= static_cast<C>(share);
          const index_t row = begin + i;
          row_statistics found = {.log_sum = sum.log_sum(),
                                  .positive_cosine = 0,
                                  .mean_cosine = sum.cosine_sum * share};
          if (problem.labels.given()) {
            found.positive_logit = sum.positive_sum * problem.labels.positive_share[row];
            found.positive_cosine = found.positive_logit / static_cast<double>(scale);
          } else if (problem.pairs.positive(row) >= 0) {
            found.positive_cosine = dot(problem.rows, row, problem.positives,
                                        problem.pairs.positive(row), problem.cols);
          }
          finish(row, found, mean);
        }
      });
}

/// What the rows of one side weigh in a gradient: coefficient_i · exp(s_ij − log_sum_i). Null: this
/// side has no soft-max.
struct soft_max_weights {
  const double* coefficient = nullptr;
  const double* log_sum = nullptr;
  const double* positive_weight = nullptr;  ///< of the positive's logit; null: 1

  /// What row i pulls its positive with.
  [[nodiscard]] double pull(index_t i) const {
    if (coefficient == nullptr) return 0;
    return positive_weight == nullptr ? coefficient[i] : coefficient[i] * positive_weight[i];
  }
};

namespace detail {

/// Subtracting +∞ makes the weight 0, which is right for a row whose sum was empty (log_sum −∞).
template <class C>
C finite_or_infinite_shift(double log_sum) {
  return log_sum == -std::numeric_limits<double>::infinity() ? std::numeric_limits<C>::infinity()
                                                             : static_cast<C>(log_sum);
}

}  // namespace detail

/// The gradient by the rows, given the soft-max of the rows over the columns, of the columns over
/// the rows, or both:
///     sum_i = Σ_j (a_i·exp(s_ij − n_i) + b_j·exp(s_ij − m_j)) column_j − (a_i + b_p(i))
///     positive_p(i)
/// (a and b of the last term times the positive's weight, where there are weights)
/// (with labels, which go with both soft-maxes, − (a_i + b_j) / |positives of i| column_j for each
/// of them in place of the last term)
/// with j over the columns that are not left out. For every row, once and in any order, finish(i,
/// sum_i); sum_i may be changed at will. With the sides exchanged it gives the gradient by the
/// columns: no atomics, no order of adding to depend on.
template <element T, class Finish>
void gradient_pass(cpu_context& ctx, const contrast<T>& problem, const soft_max_weights& of_rows,
                   const soft_max_weights& of_columns, const Finish& finish) {
  using C = compute_t<T>;
  const detail::tiling cut(problem.rows.rows(), problem.cols);
  const auto scale = static_cast<C>(problem.scale);
  const bool row_side = of_rows.coefficient != nullptr;
  const bool column_side = of_columns.coefficient != nullptr;
  workspace::scope scratch(ctx.workspace);
  struct worker_scratch {
    detail::logit_tile<T> tile;
    C* sums;
    C* second;  // the columns' weights, where both sides have some
    C* shift;   // the columns' log sums …
    C* factor;  // … and coefficients, in the tile's type
  };
  const auto make = [&] {
    return worker_scratch{.tile = detail::logit_tile<T>(scratch, problem, cut),
                          .sums = scratch.take<C>(cut.block_rows * problem.cols),
                          .second = scratch.take<C>(cut.chunk_cols),
                          .shift = scratch.take<C>(cut.chunk_cols),
                          .factor = scratch.take<C>(cut.chunk_cols)};
  };
  detail::for_each_tile_row(
      ctx, problem.rows.rows(), cut, make, [&](index_t begin, index_t count, worker_scratch& my) {
        my.tile.load_rows(begin, count);
        std::fill_n(my.sums, count * problem.cols, C{0});
        my.tile.for_each_chunk(cut, [&](index_t first, index_t width) {
          for (index_t j = 0; column_side && j < width; ++j) {
            my.shift[j] = detail::finite_or_infinite_shift<C>(of_columns.log_sum[first + j]);
            my.factor[j] = static_cast<C>(of_columns.coefficient[first + j]);
          }
          for (index_t i = 0; i < count; ++i) {
            C* weights = my.tile.row(i);
            C* column_weights = row_side ? my.second : weights;
            if (column_side) {
              if (row_side) std::copy_n(weights, width, column_weights);
              exponentials(column_weights, width, scale, [&](index_t j) { return my.shift[j]; });
              for (index_t j = 0; j < width; ++j) column_weights[j] *= my.factor[j];
            }
            if (row_side) {
              const C shift = detail::finite_or_infinite_shift<C>(of_rows.log_sum[begin + i]);
              const auto factor = static_cast<C>(of_rows.coefficient[begin + i]);
              exponentials(weights, width, scale, [shift](index_t) { return shift; });
              for (index_t j = 0; j < width; ++j) weights[j] *= factor;
              for (index_t j = 0; column_side && j < width; ++j) weights[j] += column_weights[j];
            }
            if (problem.labels.given()) {
              const auto own = static_cast<C>(of_rows.coefficient[begin + i]);
              const auto positive = static_cast<C>(problem.labels.positive_share[begin + i]);
              const C* const others = my.factor;
              my.tile.for_each_labelled(i, [=](index_t j, bool same) {
                weights[j] -= same ? (own + others[j]) * positive : C{0};
              });
            }
            my.tile.for_each_left_out(i, [&](index_t j) { weights[j] = C{0}; });
          }
          my.tile.add_weighted_columns(my.sums);
        });
        for (index_t i = 0; i < count; ++i) {
          C* sum = my.sums + i * problem.cols;
          const index_t row = begin + i;
          const index_t positive = problem.pairs.positive(row);
          if (positive >= 0) {
            const double pull = of_rows.pull(row) + of_columns.pull(positive);
            problem.positives.add_row(positive, -pull, problem.cols, sum);
          }
          finish(row, sum);
        }
      });
}

/// Turns a row of gradient_pass (or of soft_max_pass's mean) into the gradient by the operand's own
/// row and puts it there.
template <element T>
void finish_gradient(const operand<T>& x, const row_stack<T>& stack, index_t stack_row,
                     index_t operand_row, double factor, compute_t<T>* gradient) {
  using C = compute_t<T>;
  const index_t cols = x.value.cols();
  for (index_t d = 0; d < cols; ++d)
    gradient[d] = static_cast<C>(static_cast<double>(gradient[d]) * factor);
  if (stack.inverse != nullptr) {
    unit_backward_row(x.value.row(operand_row), cols, stack.inverse[stack_row], default_norm_eps,
                      gradient);
  }
  write_gradient(x, operand_row, gradient);
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu
