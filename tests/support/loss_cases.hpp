// The table of losses. A case has a loss, its options and random inputs of some shape.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <type_traits>
#include <vector>

#include "feaug/core/operand.hpp"
#include "feaug/loss/hard_negative_info_nce.hpp"
#include "support/operators/test_case.hpp"
#include "support/test_matrix.hpp"

namespace testing {

using conformance::tensor;
using feaug::gradient_mode;
using nlohmann::json;

/// A case of the table.
class loss_case {
 public:
  std::string loss;
  conformance::test_case given;
  /// The only type of this case ("double", "float"); if empty, all four.
  std::string type;
  /// For inputs that are zero, huge, infinite or NaN. Above 0: results must also agree in which
  /// elements are finite, NaN or exactly 0, and larger errors are allowed, by this factor.
  double edge = 0;
  /// An upper limit for the tolerance of the loss.
  double loss_tolerance = 1;
  /// The shape is chosen for a GPU's tiles; the CPU tests leave it out.
  bool is_of_a_gpu = false;

  loss_case(std::string name, const json& options) : loss(std::move(name)) {
    given.options = {{"gradient_scale", 3.0}, {"cotangent", 0.7}};
    given.options.update(options);
    given.name = loss + " " + given.options.dump();
  }

  /// Normally distributed numbers, constant or with a gradient. Rows are padded, except in every
  /// third matrix.
  loss_case& matrix(const std::string& name, index_t rows, index_t cols,
                    gradient_mode mode = gradient_mode::none) {
    constexpr std::int64_t paddings[] = {1, 0, 2};
    const auto made = static_cast<unsigned>(given.padding.size());
    given.padding[name] = paddings[made % 3];
    if (mode == gradient_mode::accumulate) given.accumulate.insert(name);
    numbers(name, {rows, cols}, test_matrix<double>::normal(rows, cols, made + 1).values());
    if (mode != gradient_mode::none) given.stop_gradient.erase(name);
    return *this;
  }
  loss_case& numbers(const std::string& name, std::vector<std::int64_t> shape,
                     std::vector<double> values) {
    given.name += " " + name + conformance::shape_text(shape);
    given.inputs[name] = {std::move(shape), std::move(values)};
    given.stop_gradient.insert(name);
    return *this;
  }
  /// Numbers computed from their position.
  loss_case& numbers(const std::string& name, std::vector<std::int64_t> shape,
                     const std::function<double(index_t)>& of) {
    std::vector<double> values(conformance::element_count(shape));
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = of(static_cast<index_t>(i));
    return numbers(name, std::move(shape), std::move(values));
  }
  /// A scalar whose gradient is accumulated.
  loss_case& learnable(const std::string& name, double value) {
    numbers(name, {}, {value});
    given.stop_gradient.erase(name);
    given.accumulate.insert(name);
    return *this;
  }
  loss_case& row_weights(index_t rows) {
    return numbers("row_weights", {rows},
                   [](index_t i) { return 0.5 + 0.1 * static_cast<double>(i % 7); });
  }
  loss_case& only(std::string one) {
    type = std::move(one);
    return *this;
  }

  loss_case& of_a_gpu() {
    is_of_a_gpu = true;
    return only("float");
  }
  template <class T>
  [[nodiscard]] bool is_for() const {
    if (type == "double") return std::is_same_v<T, double>;
    if (type == "float") return std::is_same_v<T, float>;
    return true;
  }

  loss_case& at_the_edge(double factor = 1) {
    edge = factor;
    return *this;
  }
  loss_case& set(const std::string& name, index_t row, index_t col, double value) {
    tensor& x = given.inputs.at(name);
    x.data.at(static_cast<std::size_t>(row * (x.shape.size() > 1 ? x.shape[1] : 1) + col)) = value;
    return *this;
  }
  loss_case& fill_row(const std::string& name, index_t row, double value) {
    for (index_t j = 0; j < given.inputs.at(name).shape.at(1); ++j) set(name, row, j, value);
    return *this;
  }
};

namespace loss_rows {

constexpr auto none = gradient_mode::none;
constexpr auto overwrite = gradient_mode::overwrite;
constexpr auto add = gradient_mode::accumulate;
constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

/// `options` updated with `more`.
inline json with(json options, const json& more) {
  options.update(more);
  return options;
}

/// Two matrices of the same shape, whose rows are pairs.
inline loss_case two_views(const std::string& loss, const std::string& first,
                           const std::string& second, index_t rows, index_t cols,
                           gradient_mode of_first, gradient_mode of_second, const json& options) {
  loss_case made(loss, options);
  made.matrix(first, rows, cols, of_first).matrix(second, rows, cols, of_second);
  return made;
}

struct contrast_shape {
  index_t rows, keys, negatives, cols;
};

inline loss_case info_nce(const contrast_shape& s, gradient_mode of_queries, gradient_mode of_keys,
                          gradient_mode of_negatives, const json& options,
                          const std::string& loss = "info_nce") {
  loss_case made(loss, with({{"positive_offset", s.keys - s.rows}}, options));
  made.matrix("queries", s.rows, s.cols, of_queries).matrix("keys", s.keys, s.cols, of_keys);
  if (s.negatives > 0) made.matrix("negatives", s.negatives, s.cols, of_negatives);
  return made;
}

inline void add_info_nce(std::vector<loss_case>& to) {
  const auto row = [&](const contrast_shape& s, gradient_mode q, gradient_mode k, gradient_mode n,
                       const json& options) -> loss_case& {
    to.push_back(info_nce(s, q, k, n, options));
    return to.back().learnable("temperature", 0.3).row_weights(s.rows);
  };
  for (const char* reduction : {"mean", "none"}) {
    const json all = {{"reduction", reduction}};
    const json few = with(all, {{"in_batch_negatives", false}});
    row({1, 1, 0, 1}, overwrite, overwrite, none, all);
    row({5, 9, 0, 7}, overwrite, none, none, all);
    row({70, 75, 33, 19}, none, add, overwrite, all);
    row({70, 75, 33, 19}, add, overwrite, none, few);
    row({6, 6, 3, 40}, overwrite, overwrite, overwrite, with(all, {{"normalize", false}}));
    row({3, 3, 0, 4}, overwrite, overwrite, none, few);
  }
  // A tile has 8192 columns and 512 rows.
  row({515, 515, 7700, 3}, overwrite, overwrite, none, json::object()).of_a_gpu();
  const json each = {{"reduction", "none"}};
  row({5, 5, 0, 6}, overwrite, none, none, each).set("queries", 2, 0, not_a_number).at_the_edge();
  row({5, 5, 0, 6}, none, overwrite, none, each).set("keys", 2, 0, not_a_number).at_the_edge();
}

/// Draws for the counts in `options`, and the arguments of info_nce.
inline loss_case hard_negative_info_nce(const contrast_shape& s, index_t hardest,
                                        gradient_mode of_queries, gradient_mode of_others,
                                        const json& options) {
  const auto count = [&](const char* kind) { return options.value(kind, index_t{0}); };
  const feaug::synthetic_counts counts = {.interpolated = count("interpolated"),
                                          .extrapolated = count("extrapolated"),
                                          .mixed = count("mixed"),
                                          .noisy = count("noisy"),
                                          .stepped = count("stepped"),
                                          .sign_stepped = count("sign_stepped")};
  loss_case made = info_nce(s, of_queries, of_others, of_others,
                            with({{"hardest", hardest},
                                  {"in_batch_negatives", false},
                                  {"positive_offset", 0},
                                  {"noise_scale", 0.3},
                                  {"step", 0.4},
                                  {"sign_step", 0.2}},
                                 options),
                            "hard_negative_info_nce");
  const auto rank = [&](index_t i) { return static_cast<double>((i * 7 + i / 3) % hardest); };
  const auto next = [&](index_t i) { return static_cast<double>((i * 5 + 1) % hardest); };
  const auto share = [](index_t i) {
    return 0.1 + 0.8 * std::fmod(0.37 * static_cast<double>(i), 1.0);
  };
  const auto wave = [](index_t i) { return std::sin(1.7 * static_cast<double>(i) + 0.3); };
  if (counts.total() > 0) made.numbers("first", {s.rows, counts.total()}, rank);
  if (counts.mixed > 0) made.numbers("second", {s.rows, counts.mixed}, next);
  if (counts.weighted() > 0) made.numbers("weights", {s.rows, counts.weighted()}, share);
  if (counts.noisy > 0) made.numbers("noise", {s.rows * counts.noisy, s.cols}, wave);
  return made;
}

inline void add_hard_negative_info_nce(std::vector<loss_case>& to) {
  const json kinds = {{"interpolated", 3}, {"extrapolated", 2}, {"mixed", 4},
                      {"noisy", 2},        {"stepped", 1},      {"sign_stepped", 3}};
  const auto row = [&](const contrast_shape& s, index_t hardest, gradient_mode q, gradient_mode n,
                       const json& options) -> loss_case& {
    to.push_back(hard_negative_info_nce(s, hardest, q, n, options));
    return to.back().learnable("temperature", 0.3);
  };
  row({4, 4, 9, 6}, 5, overwrite, none, kinds);
  row({5, 6, 8, 37}, 8, add, add,
      with(kinds, {{"in_batch_negatives", true}, {"reduction", "none"}}))
      .row_weights(5);
  row({1, 1, 1, 1}, 1, overwrite, none, {{"mixed", 2}});
  row({3, 3, 7, 5}, 3, none, overwrite, kinds);
  row({3, 3, 7, 5}, 3, overwrite, overwrite, with(kinds, {{"normalize", false}}));
  row({5, 5, 9, 4}, 7, overwrite, none, kinds)
      .numbers("ids", {9}, [](index_t j) { return static_cast<double>(j % 3); })
      .numbers("exclude_ids", {5}, [](index_t i) { return static_cast<double>(i % 5); });
  row({3, 3, 7, 5}, 3, overwrite, none, json::object());
  // More than 128 synthetic rows and more than 128 columns, the numbers that a block processes at
  // once.
  row({2, 2, 40, 150}, 33, overwrite, none,
      {{"interpolated", 40}, {"extrapolated", 30}, {"mixed", 50}, {"noisy", 5}, {"stepped", 20}})
      .only("float");

  const auto edge = [&](const json& options) -> loss_case& {
    to.push_back(
        hard_negative_info_nce({3, 3, 4, 5}, 4, overwrite, none,
                               with({{"reduction", "none"}, {"temperature", 1e-3}}, options)));
    return to.back().only("float").at_the_edge(50);
  };
  edge(kinds)
      .at_the_edge(2000)
      .fill_row("queries", 0, 0)
      .fill_row("queries", 1, 1e18)
      .fill_row("negatives", 0, 0)
      .fill_row("negatives", 1, -1e18)
      .fill_row("keys", 2, 1e-30);
  edge(kinds).set("queries", 1, 2, not_a_number);
  edge(kinds).set("negatives", 1, 2, not_a_number);
  // Opposite negatives cancel to a zero row with logit 0. The two mixed rows are opposite, and
  // orthogonal to all queries.
  loss_case& opposite = edge({{"mixed", 1}}).at_the_edge();
  for (index_t i = 0; i < 3; ++i) {
    opposite.set("queries", i, 0, 0).fill_row("keys", i, 0).set("keys", i, 0, 1);
    opposite.set("first", i, 0, 0).set("second", i, 0, 1).set("weights", i, 0, 0.5);
  }
  for (index_t j = 0; j < 4; ++j)
    opposite.fill_row("negatives", j, 0).set("negatives", j, 0, j % 2 == 0 ? 1.25 : -3.0);
}

inline void add_two_view_losses(std::vector<loss_case>& to) {
  for (const char* reduction : {"sum", "none"}) {
    for (const index_t rows : {2, 41}) {
      const json all = {{"reduction", reduction}};
      const auto nt_xent = [&](gradient_mode a, gradient_mode b, const json& options) {
        to.push_back(two_views("nt_xent", "a", "b", rows, 9, a, b, with(all, options)));
      };
      nt_xent(overwrite, add, json::object());
      nt_xent(overwrite, none, {{"decoupled", true}});
      nt_xent(add, overwrite, {{"decoupled", true}, {"positive_weighting", 0.5}});
      to.back().row_weights(2 * rows).learnable("temperature", 0.4);
      const auto symmetric = [&](gradient_mode q, gradient_mode k) {
        to.push_back(two_views("symmetric_info_nce", "queries", "keys", rows, 33, q, k, all));
      };
      symmetric(overwrite, overwrite);
      symmetric(none, add);
      to.back().row_weights(rows).learnable("temperature", 0.4);
    }
  }
}

inline void add_paired_losses(std::vector<loss_case>& to) {
  for (const char* form : {"byol", "simsiam"}) {
    for (const bool far : {false, true}) {
      loss_case row = two_views("negative_cosine", "prediction", "target", 37, 45, overwrite, add,
                                {{"form", form}, {"reduction", far ? "none" : "mean"}});
      row.row_weights(37);
      if (far) {
        row.fill_row("prediction", 4, 0).set("target", 6, 3, not_a_number).at_the_edge();
        to.push_back(row);
        // Squares of these doubles overflow.
        for (index_t j = 0; j < 45; ++j) row.set("target", 8, j, 1e200 * std::cos(double(j)));
        row.only("double");
      }
      to.push_back(row);
    }
  }
  // One element; one column less and one more than a warp; more rows than a block has warps.
  const index_t shapes[][2] = {{1, 1}, {40, 31}, {3, 33}};
  const gradient_mode modes[][2] = {{none, overwrite}, {overwrite, none}, {add, overwrite}};
  for (const auto& shape : shapes) {
    for (const char* reduction : {"mean", "sum", "none"}) {
      for (const auto& mode : modes) {
        to.push_back(two_views("kl_to_standard_normal", "mean", "log_variance", shape[0], shape[1],
                               mode[0], mode[1], {{"reduction", reduction}}));
        to.back().row_weights(shape[0]).set("row_weights", 0, 0, -1);
        to.back().loss_tolerance = 1e-6;
      }
    }
  }
  const auto moments = [&](index_t rows, index_t cols, gradient_mode a, gradient_mode b) {
    to.push_back(two_views("barlow_twins", "a", "b", rows, cols, a, b, {{"lambda", 0.1}}));
    to.push_back(two_views("vicreg", "a", "b", rows, cols, a, b, json::object()));
    to.push_back(two_views("hypersphere", "a", "b", rows, cols, a, b, {{"t", 3}, {"lam", 0.5}}));
  };
  moments(2, 1, overwrite, overwrite);
  moments(5, 7, overwrite, none);
  moments(40, 67, none, add);
  moments(70, 33, add, overwrite);
  moments(6, 3, none, none);
  moments(9, 5, overwrite, add);
  moments(20, 40, overwrite, overwrite);
}

inline void add_hypersphere(std::vector<loss_case>& to) {
  const auto row = [&](index_t rows, index_t cols, gradient_mode a, gradient_mode b,
                       const json& options) -> loss_case& {
    to.push_back(two_views("hypersphere", "a", "b", rows, cols, a, b, options));
    return to.back();
  };
  row(9, 1, overwrite, overwrite, {{"alpha", 3}});
  row(40, 67, none, add, {{"t", 3}, {"alpha", 1}});
  row(7, 3, overwrite, overwrite, {{"t", 400}}).only("double");
  // More than 2048 rows need several tiles of rows.
  row(2060, 2, overwrite, none, json::object()).of_a_gpu();
  row(5, 6, overwrite, add, json::object()).set("a", 2, 0, not_a_number).at_the_edge();
  row(5, 6, add, overwrite, json::object()).set("b", 2, 0, not_a_number).at_the_edge();
}

inline void add_sigmoid(std::vector<loss_case>& to) {
  const auto row = [&](index_t rows, index_t cols, gradient_mode a, gradient_mode b,
                       const json& options) -> loss_case& {
    to.push_back(two_views("sigmoid", "a", "b", rows, cols, a, b, options));
    return to.back().learnable("scale", 4).learnable("bias", -3).row_weights(rows);
  };
  for (const char* reduction : {"mean", "none"}) {
    const json all = {{"reduction", reduction}};
    row(1, 1, overwrite, overwrite, all);
    row(5, 7, overwrite, none, all);
    row(70, 19, none, add, all);
    row(33, 40, add, overwrite, all);
    row(6, 3, none, none, all);
    row(9, 4, overwrite, overwrite, with(all, {{"normalize", false}}));
  }
  // More than 2048 rows need several tiles of rows.
  row(2060, 2, overwrite, overwrite, json::object()).of_a_gpu();
  const json each = {{"reduction", "none"}};
  row(5, 6, overwrite, none, each).set("a", 2, 0, not_a_number).at_the_edge();
  row(5, 6, none, overwrite, each).set("b", 2, 0, not_a_number).at_the_edge();
  to.push_back(two_views("sigmoid", "a", "b", 5, 6, overwrite, none, with(each, {{"scale", 1e3}})));
  to.back().fill_row("a", 1, 0).fill_row("a", 2, -1e18).fill_row("a", 3, 1e-30);
  to.back().only("float").at_the_edge(20);
}

inline void add_masked_prediction(std::vector<loss_case>& to) {
  const auto row = [&](index_t rows, index_t cols, gradient_mode p, gradient_mode t,
                       const json& options, const std::function<double(index_t)>& keep) {
    to.push_back(two_views("masked_prediction", "prediction", "target", rows, cols, p, t,
                           with({{"beta", 0.75}}, options)));
    to.back().matrix("keep", rows, cols).row_weights(rows).numbers("keep", {rows, cols}, keep);
  };
  const auto half = [](index_t i) { return (i * i / 3) % 5 < 2 ? 1.0 : 0.0; };
  for (const char* reduction : {"mean", "none"}) {
    for (const char* form : {"smooth_l1", "squared", "cosine"}) {
      const json options = {{"reduction", reduction}, {"form", form}};
      row(1, 1, overwrite, overwrite, options, [](index_t) { return 0.0; });
      row(5, 7, overwrite, none, options, half);
      row(33, 140, add, overwrite, options, half);
      row(40, 37, overwrite, none, options, half);
      row(4, 6, none, none, options, half);
      row(6, 3, overwrite, add, options, [](index_t) { return 1.0; });

      row(6, 5, overwrite, overwrite, options,
          [](index_t i) { return (i >= 5 && i < 10) || i == 12 ? 1.0 : 0.0; });
      loss_case edge = to.back();
      to.pop_back();
      edge.only("double").at_the_edge();
      edge.fill_row("prediction", 0, 0).fill_row("target", 3, 0);
      edge.set("prediction", 1, 1, not_a_number);  // kept, so not read
      edge.set("prediction", 2, 2, not_a_number);
      to.push_back(edge);
      // 1e200² overflows double.
      if (form == std::string("cosine")) {
        edge.fill_row("prediction", 4, 1e200).set("prediction", 4, 1, -2e200);
        to.push_back(edge.fill_row("target", 5, 1e-200));
      }
      const double was = edge.given.inputs.at("prediction").data[5 * 5 + 3];
      to.push_back(edge.set("prediction", 5, 3, not_a_number));
      to.push_back(edge.set("prediction", 5, 3, was).set("target", 5, 0, infinity));
    }
  }
}

/// If there are more rows than `classes`, every third row has a label of its own.
inline std::vector<double> some_labels(index_t rows, index_t classes) {
  std::vector<double> labels;
  for (index_t i = 0; i < rows; ++i) {
    const bool is_alone = i % 3 == 2 && classes < rows;
    labels.push_back(static_cast<double>(is_alone ? 1000 + i : (i * 7) % classes - 1));
  }
  return labels;
}

inline void add_supervised_contrastive(std::vector<loss_case>& to) {
  const auto row = [&](const std::vector<double>& labels, index_t cols, gradient_mode mode,
                       const json& options) -> loss_case& {
    const auto rows = static_cast<index_t>(labels.size());
    to.emplace_back("supervised_contrastive", options);
    return to.back().matrix("z", rows, cols, mode).numbers("labels", {rows}, labels);
  };
  const auto learnt = [&](const std::vector<double>& labels, index_t cols, gradient_mode mode,
                          const json& options) -> loss_case& {
    return row(labels, cols, mode, options)
        .learnable("temperature", 0.3)
        .row_weights(static_cast<index_t>(labels.size()));
  };
  for (const char* reduction : {"mean", "none"}) {
    const json all = {{"reduction", reduction}};
    learnt({4}, 3, overwrite, all);
    learnt({4, 4}, 1, overwrite, all);
    learnt(some_labels(5, 5), 7, overwrite, all);
    learnt(some_labels(70, 4), 19, add, all);
    learnt(some_labels(33, 1), 40, none, all);
    learnt(some_labels(9, 2), 4, overwrite, with(all, {{"normalize", false}}));
  }
  // More than 2048 rows need several tiles of rows, more than 256 labels several blocks.
  learnt(some_labels(2060, 30), 2, overwrite, json::object()).of_a_gpu();

  const std::vector<double> few = {0, 1, 0, 1, 2, 0};
  row(few, 5, overwrite, {{"reduction", "none"}}).set("z", 4, 1, not_a_number).at_the_edge();
  for (const bool distinct : {false, true}) {
    row(distinct ? std::vector<double>{0, 1, 2, 3, 4, 5} : few, 5, overwrite,
        {{"reduction", distinct ? "mean" : "none"}, {"temperature", distinct ? 0.1 : 1e-3}})
        .fill_row("z", 1, 0)
        .fill_row("z", 2, -1e18)
        .fill_row("z", 3, 1e-30)
        .only("float")
        .at_the_edge(20);
  }
}

inline void add_assignment_losses(std::vector<loss_case>& to) {
  const auto sinkhorn = [&](index_t rows, index_t cols, index_t extra,
                            index_t iterations) -> loss_case& {
    to.emplace_back("sinkhorn", json{{"epsilon", 0.25}, {"iterations", iterations}});
    to.back().given.options.erase("gradient_scale");
    to.back().given.options.erase("cotangent");
    to.back().matrix("scores", rows, cols);
    if (extra > 0) to.back().matrix("extra_scores", extra, cols);
    return to.back();
  };
  sinkhorn(1, 1, 0, 3);
  sinkhorn(1, 5, 2, 3);
  sinkhorn(6, 1, 0, 0);
  sinkhorn(5, 7, 4, 0);
  sinkhorn(33, 40, 5, 1);
  sinkhorn(70, 65, 0, 3);
  sinkhorn(9, 35, 2, 3);
  for (const index_t iterations : {0, 1, 3}) {
    const auto edge = [&](index_t extra) -> loss_case& {
      return sinkhorn(6, 5, extra, iterations).only("float").at_the_edge();
    };
    for (const index_t extra : {0, 2}) {
      loss_case& row = edge(extra).set("scores", 0, 0, 1e30).fill_row("scores", 1, -infinity);
      row.set("scores", 2, 2, -infinity);
      for (index_t i = 0; i < 6; ++i) {
        row.set("scores", i, 4, -infinity);
        row.set("scores", i, 3, -1024 + std::sin(double(i)));
      }
    }
    edge(0).set("scores", 3, 1, infinity);
    edge(0).set("scores", 3, 1, not_a_number);
    edge(0).set("scores", 3, 1, not_a_number).fill_row("scores", 1, -infinity);
  }

  const auto swapped = [&](index_t rows, index_t cols, gradient_mode a, gradient_mode b,
                           const std::string& reduction, index_t extra,
                           index_t iterations) -> loss_case& {
    const json all = {{"temperature", 0.3},
                      {"epsilon", 0.25},
                      {"reduction", reduction},
                      {"iterations", iterations}};
    // Arbitrary numbers as potentials.
    to.emplace_back("assignment_loss", all);
    to.back().matrix("scores", rows, cols, a).matrix("target.scores", rows, cols).row_weights(rows);
    to.back().numbers("target.potentials", {cols},
                      [](index_t j) { return 0.3 * std::cos(static_cast<double>(j)); });
    to.push_back(two_views("swapped_assignment", "scores_a", "scores_b", rows, cols, a, b, all));
    to.back().row_weights(rows);
    if (extra > 0) to.back().matrix("extra_scores_b", extra, cols);
    if (extra > 2) to.back().matrix("extra_scores_a", extra, cols);
    return to.back();
  };
  for (const char* reduction : {"mean", "none"}) {
    swapped(1, 1, overwrite, overwrite, reduction, 0, 3);
    swapped(5, 7, overwrite, none, reduction, 3, 3);
    swapped(33, 40, add, overwrite, reduction, 2, 3);
    swapped(6, 3, none, add, reduction, 0, 0);
    swapped(9, 4, none, none, reduction, 0, 1);
    const auto edge = [&](const std::function<void(loss_case&, const std::string&)>& edit) {
      swapped(6, 5, overwrite, overwrite, reduction, 0, 3);
      edit(to.back().only("float").at_the_edge(), "scores_a");
      edit((to.end() - 2)->only("float").at_the_edge(), "scores");
    };
    for (const bool whole_row : {false, true}) {
      edge([&](loss_case& row, const std::string& scores) {
        row.set(scores, 0, 0, 1e20).set(scores, 2, 2, -infinity);
        if (whole_row) row.fill_row(scores, 1, -infinity);
      });
    }
    edge([](loss_case& row, const std::string& scores) { row.set(scores, 3, 1, not_a_number); });
  }
  swapped(9, 35, overwrite, add, "mean", 2, 3);
}

struct queue_shape {
  index_t rows, cols, support, filled;
};

/// A loss with a queue. If the queue is not full, rows are also excluded by id.
inline loss_case in_a_queue(const std::string& loss, const std::string& first,
                            const std::string& second, const queue_shape& s, gradient_mode mode,
                            const json& options) {
  loss_case made(loss, with({{"filled", s.filled}}, options));
  made.matrix(first, s.rows, s.cols, mode).matrix(second, s.rows, s.cols);
  made.matrix("support", s.support, s.cols).row_weights(s.rows);
  if (s.filled == s.support) return made;
  made.numbers("ids", {s.support}, [](index_t slot) { return static_cast<double>(slot); });
  made.numbers("exclude_ids", {s.rows}, [](index_t i) { return static_cast<double>(i % 3); });
  return made;
}

inline void add_queue_losses(std::vector<loss_case>& to) {
  const auto mean_shift = [&](const queue_shape& s, index_t k, gradient_mode mode,
                              const json& options) {
    to.push_back(
        in_a_queue("mean_shift", "prediction", "targets", s, mode, with({{"k", k}}, options)));
    // Not for the mean: a row without neighbours would also make it NaN.
    if (s.rows > 4 && options.at("reduction") == "none")
      to.back().set("targets", 3, 0, not_a_number).at_the_edge();
  };
  const auto relation = [&](const queue_shape& s, gradient_mode mode,
                            const json& options) -> loss_case& {
    to.push_back(in_a_queue("relation_distillation", "queries", "keys", s, mode,
                            with({{"temperature", 0.3}, {"teacher_temperature", 0.2}}, options)));
    return to.back();
  };
  for (const char* reduction : {"mean", "none"}) {
    const json all = {{"reduction", reduction}};
    mean_shift({1, 1, 1, 1}, 1, overwrite, all);
    mean_shift({9, 7, 12, 5}, 4, add, all);
    mean_shift({33, 19, 70, 70}, 3, overwrite, all);
    mean_shift({5, 131, 9, 4}, 2, none, all);
    relation({1, 1, 1, 1}, overwrite, all);
    relation({9, 7, 12, 5}, add, all);
    relation({33, 19, 140, 131}, overwrite, all);
    relation({5, 40, 9, 4}, none, all);
    relation({6, 4, 9, 9}, overwrite, with(all, {{"normalize", false}}));
  }
  // More than 8192 columns need several tiles of columns.
  relation({3, 2, 8300, 8250}, overwrite, json::object()).of_a_gpu();
}

inline void add_soft_neighbour_contrast(std::vector<loss_case>& to) {
  const auto row = [&](index_t rows, index_t cols, index_t k, gradient_mode mode,
                       const json& options) -> loss_case& {
    to.emplace_back(
        "soft_neighbour_contrast",
        with({{"temperature", 0.3}, {"label_temperature", 0.5}, {"neighbour_weight", 1.5}},
             options));
    return to.back()
        .matrix("queries", rows, cols, mode)
        .matrix("keys", rows, cols)
        .matrix("neighbours", rows * k, cols)
        .row_weights(rows);
  };
  for (const char* reduction : {"mean", "none"}) {
    const json all = {{"reduction", reduction}};
    row(1, 1, 1, overwrite, all).matrix("attention", 1, 1, overwrite);
    row(9, 7, 3, add, all);
    row(33, 19, 4, overwrite, all).matrix("attention", 33, 19, add);
    row(5, 40, 2, none, all).matrix("attention", 5, 40, overwrite);
    row(6, 4, 2, overwrite, with(all, {{"normalize", false}})).matrix("attention", 6, 4, overwrite);
  }
  row(5, 4, 2, overwrite, {{"reduction", "none"}, {"temperature", 1e-3}})
      .fill_row("queries", 1, 0)
      .fill_row("queries", 2, -1e18)
      .set("queries", 4, 0, infinity)
      .only("float")
      .at_the_edge(50);
}

}  // namespace loss_rows

/// All cases.
inline const std::vector<loss_case>& loss_cases() {
  static const std::vector<loss_case> all = [] {
    std::vector<loss_case> made;
    loss_rows::add_info_nce(made);
    loss_rows::add_hard_negative_info_nce(made);
    loss_rows::add_two_view_losses(made);
    loss_rows::add_paired_losses(made);
    loss_rows::add_hypersphere(made);
    loss_rows::add_sigmoid(made);
    loss_rows::add_masked_prediction(made);
    loss_rows::add_supervised_contrastive(made);
    loss_rows::add_assignment_losses(made);
    loss_rows::add_queue_losses(made);
    loss_rows::add_soft_neighbour_contrast(made);
    return made;
  }();
  return all;
}

}  // namespace testing
