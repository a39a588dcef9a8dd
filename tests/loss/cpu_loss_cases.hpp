// Test cases of losses for the CPU: shapes around the CPU's blocks, chunks and tiles, instead of
// those around GPU tiles. The CUDA executor would take minutes for them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <string>
#include <vector>

#include "support/loss_cases.hpp"

namespace testing {

namespace loss_rows {

/// One case for double and one for float; 16-bit types are not precise enough.
inline void add_wide(std::vector<loss_case>& to, loss_case row) {
  to.push_back(row.only("double"));
  to.push_back(row.only("float"));
}

inline void add_contrasts_of_the_cpu(std::vector<loss_case>& to) {
  const auto row = [&](const contrast_shape& s, const json& options) -> loss_case& {
    to.push_back(info_nce(s, overwrite, overwrite, overwrite, options));
    return to.back().learnable("temperature", options.value("temperature", 0.2));
  };
  const json few = {{"in_batch_negatives", false}};
  row({1, 1, 4, 3}, {{"reduction", "mean"}});
  row({3, 3, 0, 1}, {{"reduction", "mean"}, {"temperature", 0.5}});
  row({5, 8, 7, 4}, {{"reduction", "mean"}, {"temperature", 0.07}}).row_weights(5);
  row({4, 4, 6, 5}, with(few, {{"reduction", "sum"}})).row_weights(4).set("row_weights", 1, 0, -1);
  row({4, 6, 0, 5}, with(few, {{"reduction", "sum"}}));
  row({6, 6, 3, 5}, {{"reduction", "mean"}, {"temperature", 2.0}, {"normalize", false}});
  add_wide(to, info_nce({7, 7, 2, 5}, overwrite, overwrite, overwrite, {{"temperature", 0.01}})
                   .learnable("temperature", 0.01)
                   .at_the_edge(20));

  const json kinds = {{"interpolated", 3}, {"extrapolated", 2}, {"mixed", 4},
                      {"noisy", 2},        {"stepped", 1},      {"sign_stepped", 3}};
  const auto hard = [&](const contrast_shape& s, index_t hardest, const json& options) {
    to.push_back(hard_negative_info_nce(s, hardest, overwrite, overwrite,
                                        with({{"reduction", "mean"}}, options)));
    to.back().learnable("temperature", 0.3);
  };
  hard({5, 8, 7, 9}, 7, with(kinds, {{"in_batch_negatives", true}, {"positive_offset", 3}}));
  hard({1, 1, 1, 3}, 1, with(kinds, {{"in_batch_negatives", true}}));
  hard({3, 3, 4, 1}, 2, {{"interpolated", 2}, {"extrapolated", 1}, {"mixed", 1}, {"stepped", 1}});
  for (const auto& [kind, count] : kinds.items()) hard({3, 3, 6, 5}, 3, {{kind, 4}});
  hard({4, 4, 8, 5}, 4, with(kinds, {{"normalize", false}}));
  // All negatives but one belong to query 1's sample, that one to query 2's. Synthetic negatives
  // that need a missing row are skipped.
  hard({3, 3, 6, 5}, 4, kinds);
  to.back()
      .numbers("ids", {6}, [](index_t j) { return j == 2 ? 2.0 : 1.0; })
      .numbers("exclude_ids", {3}, [](index_t i) { return static_cast<double>(i); });
  // All negatives are excluded, for every query.
  hard({3, 3, 6, 5}, 4, kinds);
  to.back()
      .numbers("ids", {6}, [](index_t) { return 1.0; })
      .numbers("exclude_ids", {3}, [](index_t) { return 1.0; });
  add_wide(to, hard_negative_info_nce({4, 4, 8, 5}, 4, overwrite, overwrite,
                                      with(kinds, {{"temperature", 0.01}}))
                   .at_the_edge(20));

  // Fewer columns than lanes, more than a chunk; more rows than a block; both kinds of shift.
  for (const double temperature : {0.1, 0.02}) {
    const json at = {{"temperature", temperature}, {"positive_offset", 0}};
    const auto wide = [&](const contrast_shape& s, const json& options) {
      const loss_case made = info_nce(s, overwrite, overwrite, none, with(at, options));
      if (s.keys == 41) to.push_back(loss_case(made).only("double"));
      to.push_back(loss_case(made).only("float"));
    };
    wide({1, 1, 0, 5}, json::object());
    wide({37, 41, 0, 19}, json::object());
    wide({3, 5000, 0, 7}, json::object());
    wide({300, 530, 0, 40}, {{"positive_offset", 100}});
    const auto views = [&](const char* loss, index_t rows, index_t cols, const json& options) {
      const std::string a = loss == std::string("nt_xent") ? "a" : "queries";
      const std::string b = loss == std::string("nt_xent") ? "b" : "keys";
      to.push_back(two_views(loss, a, b, rows, cols, overwrite, overwrite,
                             with({{"temperature", temperature}}, options)));
      // Without a zero row, where the loss has no derivative.
      if (rows == 41) to.push_back(loss_case(to.back()).only("double"));
      loss_case& in_float = rows == 41 ? *(to.end() - 2) : to.back();
      if (rows > 4) in_float.fill_row(a, 3, 0);
      in_float.only("float");
    };
    for (const bool decoupled : {false, true}) {
      views("nt_xent", 2, 5, {{"decoupled", decoupled}});
      views("nt_xent", 41, 19, {{"decoupled", decoupled}});
      views("nt_xent", 330, 33, {{"decoupled", decoupled}});
    }
    views("nt_xent", 200, 31, {{"decoupled", true}, {"positive_weighting", 0.5}});
    views("symmetric_info_nce", 1, 5, json::object());
    views("symmetric_info_nce", 41, 19, json::object());
    views("symmetric_info_nce", 1100, 33, json::object());  // several blocks at once
  }
  // Few queries, many stopped keys: columns are split into parts; their number depends on the shape
  // only.
  to.push_back(info_nce({5, 20000, 0, 24}, overwrite, none, none, {{"positive_offset", 0}}));
  to.back().only("float");
  // Several tiles of rows and of columns, with every gradient.
  row({70, 300, 40, 19}, json::object()).only("double");
  // 8 · 1900 bytes of slots per row: the second chunk begins at row 272.
  to.push_back(hard_negative_info_nce({300, 300, 2000, 5}, 1900, overwrite, overwrite,
                                      with(kinds, {{"reduction", "none"}}))
                   .only("float"));
}

inline void add_views_of_the_cpu(std::vector<loss_case>& to) {
  const auto row = [&](const char* loss, index_t rows, index_t cols,
                       const json& options) -> loss_case& {
    const bool is_symmetric = loss == std::string("symmetric_info_nce");
    to.push_back(two_views(loss, is_symmetric ? "queries" : "a", is_symmetric ? "keys" : "b", rows,
                           cols, overwrite, overwrite, options));
    return to.back();
  };
  const json mean = {{"reduction", "mean"}};
  const index_t shapes[][2] = {{1, 3}, {3, 1}, {5, 4}, {9, 6}};
  for (const auto& [rows, cols] : shapes) {
    row("symmetric_info_nce", rows, cols, mean).learnable("temperature", 0.25);
    row("nt_xent", rows, cols, mean).learnable("temperature", 0.25);
    row("sigmoid", rows, cols, mean).learnable("scale", 4).learnable("bias", -1.5);
    row("sigmoid", rows, cols, mean).learnable("scale", -2).learnable("bias", 0.5);
    if (rows == 1) continue;  // rejected
    for (const double sigma : {0.0, 0.5, 0.05}) {
      row("nt_xent", rows, cols, with(mean, {{"decoupled", true}, {"positive_weighting", sigma}}))
          .learnable("temperature", 0.25);
    }
  }
  row("symmetric_info_nce", 11, 7, mean).learnable("temperature", 0.25);
  row("sigmoid", 6, 4, mean).learnable("bias", 0.25);
  row("sigmoid", 300, 17, {{"reduction", "none"}}).learnable("scale", 10).learnable("bias", -10);
  row("nt_xent", 150, 17, {{"reduction", "none"}}).only("double");

  const auto extreme = [&](const char* loss, const json& options) {
    for (const bool is_finite : {true, false}) {
      loss_case& edge =
          row(loss, 4, 3, with({{"reduction", "mean"}, {"temperature", 1e-3}}, options));
      const std::string b = edge.given.inputs.contains("b") ? "b" : "keys";
      const std::string a = b == "b" ? "a" : "queries";
      edge.fill_row(a, 1, 0).fill_row(b, 2, -1e18).fill_row(a, 3, 1e-30);
      if (!is_finite) edge.set(b, 0, 1, not_a_number);
      if (loss == std::string("sigmoid")) edge.given.options.erase("temperature");
      edge.only("float").at_the_edge(50);
    }
  };
  extreme("symmetric_info_nce", json::object());
  extreme("nt_xent", json::object());
  extreme("nt_xent", {{"decoupled", true}});
  for (const double sigma : {0.5, 1e-3})
    extreme("nt_xent", {{"decoupled", true}, {"positive_weighting", sigma}});
  for (const double bias : {-10.0, 1e6}) extreme("sigmoid", {{"scale", 1e3}, {"bias", bias}});
  for (const char* loss : {"barlow_twins", "vicreg", "hypersphere"}) {
    for (const double bad : {not_a_number, infinity}) {
      for (const index_t cols : {1, 3}) {
        for (const char* view : {"a", "b"})
          row(loss, 4, cols, json::object()).set(view, 2, cols - 1, bad).at_the_edge();
      }
    }
  }

  row("barlow_twins", 5, 4, json::object());
  row("barlow_twins", 3, 1, {{"lambda", 2}});
  row("barlow_twins", 7, 5, {{"lambda", 0.5}, {"eps", 0.3}});
  row("barlow_twins", 4, 7, {{"lambda", 0}});
  row("vicreg", 5, 4, json::object());
  row("vicreg", 3, 1, json::object());
  row("vicreg", 2, 5, {{"eps", 0.25}});
  row("vicreg", 6, 3, {{"variance", 0}, {"covariance", 0}});
  row("vicreg", 6, 3, {{"invariance", 0}, {"covariance", 0}});
  row("vicreg", 6, 3, {{"invariance", 0}, {"variance", 0}});
  row("hypersphere", 5, 4, json::object());
  row("hypersphere", 2, 5, {{"t", 0.25}, {"alpha", 1}});
  row("hypersphere", 6, 3, {{"t", 3}, {"lam", -2}, {"alpha", 3.5}});
  row("hypersphere", 6, 3, {{"lam", 0}});
  add_wide(to, two_views("hypersphere", "a", "b", 6, 3, overwrite, overwrite, {{"lam", 1e6}}));
  // No single shift fits all exponentials.
  row("hypersphere", 7, 3, {{"t", 400}}).only("float").at_the_edge(10);
  for (const char* loss : {"barlow_twins", "vicreg", "hypersphere"})
    add_wide(to, row(loss, 300, 150, json::object()));

  for (const char* form : {"byol", "simsiam"}) {
    for (const auto& [rows, cols] : shapes) {
      to.push_back(two_views("negative_cosine", "prediction", "target", rows, cols, overwrite,
                             overwrite, {{"reduction", "mean"}, {"form", form}}));
    }
    to.push_back(two_views("negative_cosine", "prediction", "target", 40, 900, overwrite, overwrite,
                           {{"reduction", "none"}, {"form", form}}));
  }
  to.push_back(
      two_views("kl_to_standard_normal", "mean", "log_variance", 5, 7, overwrite, overwrite, mean));
  to.back().row_weights(5).set("row_weights", 3, 0, 0).set("row_weights", 4, 0, -1);
  to.push_back(two_views("kl_to_standard_normal", "mean", "log_variance", 500, 90, overwrite,
                         overwrite, mean));
}

inline void add_masks_of_the_cpu(std::vector<loss_case>& to) {
  const auto row = [&](index_t rows, index_t cols, const json& options) {
    to.push_back(two_views("masked_prediction", "prediction", "target", rows, cols, overwrite,
                           overwrite, with({{"reduction", "mean"}, {"beta", 0.75}}, options)));
    // Rows with some, none and all features masked.
    to.back().matrix("keep", rows, cols).row_weights(rows);
    to.back().numbers("keep", {rows, cols}, [cols](index_t at) {
      const index_t i = at / cols;
      return i % 4 == 1 || (i % 4 != 2 && std::sin(2.3 * static_cast<double>(at)) > 0) ? 1.0 : 0.0;
    });
  };
  for (const char* form : {"smooth_l1", "squared", "cosine"}) {
    const index_t shapes[][2] = {{1, 1}, {5, 4}, {6, 1}, {3, 11}, {900, 40}};
    for (const auto& [rows, cols] : shapes) row(rows, cols, {{"form", form}});
  }
  row(5, 4, {{"beta", 0}});
}

inline void add_labels_of_the_cpu(std::vector<loss_case>& to) {
  constexpr double far_apart = 1099511627776;  // labels that differ only in their upper bits
  const std::vector<std::vector<double>> label_sets = {
      {7},
      {1, 1, 1},
      {0, 0, 0, 1},
      {3, 1, 2, 4, 0},
      {5, 5},
      {far_apart, 0, far_apart, 0, 2 * far_apart, 0, -1},
      {1, 0, 1, 1, 0, 0, 1, 2, 2},
  };
  const auto row = [&](const std::vector<double>& labels, index_t cols) -> loss_case& {
    const auto rows = static_cast<index_t>(labels.size());
    to.emplace_back("supervised_contrastive", json{{"reduction", "mean"}});
    return to.back().matrix("z", rows, cols, overwrite).numbers("labels", {rows}, labels);
  };
  for (const auto& labels : label_sets) {
    for (const index_t cols : {1, 4}) row(labels, cols).learnable("temperature", 0.25);
  }
  row({0, 1, 0, 1, 2}, 4).row_weights(5).set("row_weights", 1, 0, -1).set("row_weights", 4, 0, 9);
  add_wide(to, row(some_labels(400, 40), 31));
}

inline void add_assignments_of_the_cpu(std::vector<loss_case>& to) {
  const auto extra = [](loss_case& row, const char* name, index_t rows, index_t cols) {
    if (rows > 0) row.matrix(name, rows, cols);
  };
  const auto swapped = [&](index_t rows, index_t cols, index_t more, index_t iterations) {
    to.push_back(two_views("swapped_assignment", "scores_a", "scores_b", rows, cols, overwrite,
                           overwrite,
                           {{"temperature", 0.3},
                            {"epsilon", 0.25},
                            {"reduction", "mean"},
                            {"iterations", iterations}}));
    to.back().row_weights(rows).set("row_weights", 0, 0, 0);
    extra(to.back(), "extra_scores_a", more, cols);
    extra(to.back(), "extra_scores_b", 2 * more, cols);
  };
  const index_t views[][2] = {{1, 1}, {1, 3}, {4, 1}, {5, 4}, {9, 6}, {300, 130}};
  for (const auto& [rows, cols] : views) {
    swapped(rows, cols, 0, 3);
    swapped(rows, cols, 3, 3);
    swapped(rows, cols, 1, 0);
  }
  const index_t shapes[][2] = {{1, 1},  {1, 5},   {6, 1},   {5, 7},    {7, 5},
                               {3, 70}, {12, 16}, {40, 70}, {700, 130}};
  for (const auto& [rows, cols] : shapes) {
    for (const index_t iterations : {0, 1, 3}) {
      for (const index_t more : {0, 4}) {
        if (rows > 100 && (more == 0 || iterations == 1)) continue;
        to.emplace_back("sinkhorn", json{{"epsilon", 0.25}, {"iterations", iterations}});
        to.back().given.options.erase("gradient_scale");
        to.back().given.options.erase("cotangent");
        extra(to.back(), "scores", rows, cols);
        extra(to.back(), "extra_scores", more, cols);
      }
    }
  }
}

inline void add_queues_of_the_cpu(std::vector<loss_case>& to) {
  const json mean = {{"reduction", "mean"}};
  const auto mean_shift = [&](const queue_shape& s, index_t k) {
    to.push_back(
        in_a_queue("mean_shift", "prediction", "targets", s, overwrite, with(mean, {{"k", k}})));
  };
  mean_shift({5, 7, 9, 9}, 3);
  mean_shift({4, 3, 8, 7}, 5);
  mean_shift({2, 17, 40, 40}, 4);
  // 16 neighbours: the slots do not fit into one search chunk.
  mean_shift({9000, 3, 40, 30}, 16);
  to.back().only("float");
  const auto relation = [&](const queue_shape& s, const json& options) {
    to.push_back(in_a_queue(
        "relation_distillation", "queries", "keys", s, overwrite,
        with(with(mean, {{"temperature", 0.5}, {"teacher_temperature", 0.2}}), options)));
  };
  for (const bool normalize : {true, false}) {
    relation({5, 7, 9, 6}, {{"normalize", normalize}});
    relation({3, 4, 40, 40}, {{"normalize", normalize}});
  }
  // 4 MiB of doubles hold 700 rows of 749 columns.
  relation({703, 749, 8, 7}, {{"temperature", 0.1}, {"teacher_temperature", 0.04}});
  to.back().only("double");

  const auto soft = [&](index_t rows, index_t cols, index_t k, const json& options) -> loss_case& {
    to.emplace_back("soft_neighbour_contrast", with(mean, options));
    return to.back()
        .matrix("queries", rows, cols, overwrite)
        .matrix("keys", rows, cols)
        .matrix("neighbours", rows * k, cols);
  };
  const index_t shapes[][3] = {{1, 1, 1}, {5, 7, 3}, {3, 2, 1}, {2, 5, 6}};
  for (const auto& [rows, cols, k] : shapes) {
    for (const bool normalize : {true, false}) {
      soft(rows, cols, k,
           {{"temperature", 0.5},
            {"label_temperature", 0.3},
            {"neighbour_weight", 1.5},
            {"normalize", normalize}})
          .matrix("attention", rows, cols, overwrite);
    }
  }
  soft(90, 19, 4, json::object()).row_weights(90);
}

}  // namespace loss_rows

inline const std::vector<loss_case>& cpu_loss_cases() {
  static const std::vector<loss_case> all = [] {
    std::vector<loss_case> made;
    std::copy_if(loss_cases().begin(), loss_cases().end(), std::back_inserter(made),
                 [](const loss_case& row) { return !row.is_of_a_gpu; });
    loss_rows::add_contrasts_of_the_cpu(made);
    loss_rows::add_views_of_the_cpu(made);
    loss_rows::add_masks_of_the_cpu(made);
    loss_rows::add_labels_of_the_cpu(made);
    loss_rows::add_assignments_of_the_cpu(made);
    loss_rows::add_queues_of_the_cpu(made);
    return made;
  }();
  return all;
}

}  // namespace testing
