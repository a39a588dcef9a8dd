// CPU implementation of hard_negative_info_nce: InfoNCE with synthetic hard negatives (MoCHi,
// SynCo).
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <cstdint>
#include <string_view>

#include "feaug/core/element.hpp"
#include "feaug/core/elementary.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/augment/noise.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/loss/contrast.hpp"
#include "feaug/cpu/loss/info_nce.hpp"
#include "feaug/cpu/loss/synthetic_rows.hpp"
#include "feaug/cpu/queue/exact_scan.hpp"
#include "feaug/cpu/queue/nearest.hpp"
#include "feaug/cpu/queue/score_rows.hpp"
#include "feaug/loss/hard_negative_info_nce.hpp"
#include "feaug/loss/info_nce.hpp"
#include "feaug/loss/loss_checks.hpp"
#include "feaug/queue/nearest.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

namespace cpu {

/// One call of the loss; the constructor checks the arguments. Runs info_nce with the synthetic
/// negatives added to the softmaxes, for blocks of rows. Scratch: that of info_nce, that of nearest
/// for unnormalised rows, and 4 MiB, or 8·hardest + 4·D bytes (8·D for doubles) if that is more.
template <element T>
class hard_negative_info_nce_call {
 public:
  using C = compute_t<T>;

  hard_negative_info_nce_call(cpu_context& ctx, std::string_view op, const operand<T>& queries,
                              const operand<T>& keys, const synthetic_negatives<T>& how,
                              const info_nce_options<T>& options,
                              const feaug::detail::loss_vectors<C>& vectors)
      : ctx_(ctx),
        how_(how),
        queries_(queries),
        negatives_(options.negatives.value),
        base_(ctx, op, queries, keys, options, vectors) {
    check::synthesis(op, how, queries, keys, options.negatives, vectors);
  }

  [[nodiscard]] index_t outputs() const { return base_.outputs(); }
  [[nodiscard]] index_t statistics_size() const { return base_.statistics_size(); }

  void forward(vector_view<C> loss, vector_view<C> statistics) {
    if (is_plain()) return base_.forward(loss, statistics);
    base_.prepare();
    softmax(false, {});
    base_.write(loss, statistics);
  }
  void forward_and_backward(vector_view<C> loss) {
    if (is_plain()) return base_.forward_and_backward(loss);
    base_.prepare();
    softmax(true, {});
    base_.key_gradients();
    base_.write(loss, {});
  }
  void backward(vector_view<const C> statistics) {
    if (is_plain()) return base_.backward(statistics);
    base_.prepare();
    softmax(true, statistics);
    base_.key_gradients();
  }

 private:
  /// There are no synthetic negatives; this is info_nce.
  [[nodiscard]] bool is_plain() const { return how_.counts.total() == 0; }

  /// Number of queries per search and synthesis: their slots and means take 4 MiB.
  [[nodiscard]] index_t rows_at_once() const {
    const index_t bytes_a_row = static_cast<index_t>(sizeof(index_t)) * how_.hardest +
                                static_cast<index_t>(sizeof(C)) * queries_.value.cols();
    const index_t fitting = (index_t{4} << 20) / bytes_a_row;
    const index_t whole_groups = fitting - fitting % query_lanes;
    return std::clamp<index_t>(whole_groups > 0 ? whole_groups : fitting, 1, queries_.value.rows());
  }

  /// If `statistics` are given, they replace the log-sum-exps, as in any backward pass.
  void softmax(bool gradients, vector_view<const C> statistics) {
    const index_t rows = queries_.value.rows();
    const index_t cols = queries_.value.cols();
    const index_t at_once = rows_at_once();
    workspace::scope scratch(ctx_.workspace);
    auto* const slots = scratch.take<index_t>(at_once * how_.hardest);
    auto* const sums = scratch.take<synthetic_sums>(at_once);
    C* const means =
        gradients && queries_.wants_gradient() ? scratch.take<C>(at_once * cols) : nullptr;
    const synthesis_problem<T> problem = {.queries = base_.query_rows(),
                                          .negatives = base_.negative_rows(),
                                          .how = how_,
                                          .cols = cols,
                                          .scale = 1.0 / base_.temperature()};
    for (index_t begin = 0; begin < rows; begin += at_once) {
      const index_t count = std::min(at_once, rows - begin);
      find_hardest(begin, count, slots);
      synthetic_pass(ctx_, problem, begin, count, slots, sums, means);
      base_.forward_rows(
          begin, count, gradients, [&](index_t i, const row_statistics& row, C* mean) {
            const synthetic_sums& made = sums[i - begin];
            row_statistics joined = row;
            joined.log_sum_exp = statistics.empty()
                                     ? feaug::detail::log_of_both(row.log_sum_exp, made.log_sum_exp)
                                     : static_cast<double>(statistics[i]);
            const double found_share = feaug::detail::exp(row.log_sum_exp - joined.log_sum_exp);
            const double made_share = feaug::detail::exp(made.log_sum_exp - joined.log_sum_exp);
            joined.mean_cosine = found_share * row.mean_cosine + made_share * made.mean_cosine;
            if (mean == nullptr) return joined;
            const C* const made_mean = means + (i - begin) * cols;
            for (index_t d = 0; d < cols; ++d) {
              mean[d] = static_cast<C>(found_share * static_cast<double>(mean[d]) +
                                       made_share * static_cast<double>(made_mean[d]));
            }
            return joined;
          });
    }
    if (gradients) base_.write_temperature_gradient();
  }

  void find_hardest(index_t begin, index_t count, index_t* slots) {
    vector_view<const std::int64_t> exclude_ids = how_.exclude_ids;
    if (!exclude_ids.empty()) {
      exclude_ids.data += begin * exclude_ids.strides[0];
      exclude_ids.extents[0] = count;
    }
    const matrix_view<const T> queries = queries_.value.rows_from(begin, count);
    const nearest_outputs<T> outputs = {.indices = {slots, count, how_.hardest}};
    const nearest_options options = {.k = how_.hardest, .exclude_ids = exclude_ids};
    const double* const inverse = base_.negative_rows().inverse;
    if (inverse == nullptr) {
      search_raw<T>(ctx_, negatives_, how_.ids, queries, outputs, options);
    } else {
      search<T>(ctx_, {.rows = negatives_, .inverse_norms = inverse, .ids = how_.ids}, queries,
                outputs, options);
    }
  }

  cpu_context& ctx_;
  synthetic_negatives<T> how_;
  operand<T> queries_;
  matrix_view<const T> negatives_;
  info_nce_call<T> base_;
};

}  // namespace cpu

template <element T>
struct detail::hard_negative_info_nce_call<cpu_context, T> : cpu::hard_negative_info_nce_call<T> {
  using cpu::hard_negative_info_nce_call<T>::hard_negative_info_nce_call;
};

template <element T>
struct detail::synthesis_draws<cpu_context, T> {
  static void run(cpu_context& ctx, const synthetic_negatives<T>& how,
                  const synthesis_outputs<T, memory_space::host>& outputs) {
    const index_t total = how.counts.total();
    cpu::for_each_row_block(ctx, outputs.first.rows(), total,
                            [&](index_t begin, index_t count, int) {
                              for (index_t i = begin; i < begin + count; ++i) {
                                for (index_t s = 0; s < total; ++s)
                                  outputs.write(how, how.key, i, s);
                              }
                            });
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
