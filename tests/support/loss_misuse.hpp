// The table of invalid arguments of losses and their error messages.
#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/loss_cases.hpp"
#include "support/misuse_rows.hpp"
#include "support/operators/refusals.hpp"

namespace testing {

namespace misuse_of {

using loss_rows::none;
using loss_rows::overwrite;
using rows_of = misuse_rows;
using rows_to = std::vector<misuse>;
using loss_rows::two_views;

const loss_rows::contrast_shape few = {.rows = 4, .keys = 4, .negatives = 6, .cols = 3};

/// Errors that info_nce and hard_negative_info_nce share.
inline rows_of contrast_with_negatives(rows_to& to, loss_case valid) {
  valid.learnable("temperature", 0.3).row_weights(few.rows);
  rows_of rows(to, valid, {"queries", "keys", "negatives"});
  rows.common();
  rows.columns("keys");
  rows.columns("negatives");
  rows.statistics(few.rows);
  rows.overlapping("statistics", "loss", {""});
  rows.positive("temperature");
  const std::string wanted = " rows, wanted at least 4 queries + positive_offset ";
  const std::string offset = " (an offset of at least 0)";
  rows.extent("keys", 0, 3, "3" + wanted + "0" + offset);
  for (const index_t by : {1, -1}) {
    rows.row("keys: got 4" + wanted + std::to_string(by) + offset)
        .given.options["positive_offset"] = by;
  }
  return rows;
}

inline void info_nce(rows_to& to) {
  contrast_with_negatives(
      to, loss_rows::info_nce(few, overwrite, overwrite, overwrite, json::object()));
}

inline void hard_negative_info_nce(rows_to& to) {
  const json counts = {{"interpolated", 3}, {"extrapolated", 2}, {"mixed", 4},
                       {"noisy", 2},        {"stepped", 1},      {"sign_stepped", 3}};
  loss_case valid = loss_rows::hard_negative_info_nce(few, 5, overwrite, overwrite, counts);
  rows_of rows = contrast_with_negatives(to, valid);
  for (const index_t hardest : {7, 0}) rows.count("hardest", hardest, "a number from 1 to 6");
  rows.row("negatives: got none, wanted at least one, to make 15 synthetic ones a query from")
      .given.inputs.erase("negatives");
  for (const auto& [kind, count] : counts.items()) {
    for (const index_t wrong : {-1, 1048577}) {
      misuse& made = rows.row("counts." + kind + ": got " + std::to_string(wrong) +
                              ", wanted a number from 0 to 1048576");
      made.given.options[kind] = wrong;
      if (wrong < 0 && kind == "mixed") made.given.inputs.erase("second");
      if (wrong < 0 && kind == "noisy") made.given.inputs.erase("noise");
    }
  }
  rows.numbers("interpolation_limit", {1.5}, "a number from 0 to 1");
  rows.numbers("extrapolation_limit", {0.5}, "a finite number of at least 1");
  rows.numbers("noise_scale", {-1}, "a finite number of at least 0");
  rows.finite("step");
  rows.finite("sign_step");
  const auto drawn = [&](const std::string& name, index_t less, const std::string& got,
                         const std::string& wanted) {
    rows.extent(name, 1, less,
                "shape " + got + ", wanted shape " + wanted + " as the queries and counts ask for");
    if (name != "first") rows.null(name, rows.shape(name));
    rows.in_host_memory(name);
    for (const char* side : {"queries", "keys", "negatives"})
      rows.overlapping("gradient of " + std::string(side), name);
  };
  drawn("first", 14, "(4, 14)", "(4, 15)");
  rows.damaged({.argument = "first", .what = damage::kind::null},
               "none, wanted all that is drawn, since part of it is given");
  drawn("second", 3, "(4, 3)", "(4, 4)");
  drawn("weights", 8, "(4, 8)", "(4, 9)");
  drawn("noise", 2, "(8, 2)", "(8, 3)");
  for (const char* name : {"first", "second"}) {
    misuse& made = rows.row("drawn." + std::string(name) + ": got 5, wanted a number from 0 to 4");
    made.given.inputs.at(name).data[5] = 5;
    made.backend = seen_on::host;
  }

  valid.numbers("ids", {few.negatives}, [](index_t) { return 0.0; });
  valid.numbers("exclude_ids", {few.rows}, [](index_t) { return 0.0; });
  rows_of with_ids(to, valid, {"queries", "keys", "negatives"});
  with_ids.extent("exclude_ids", 0, 0, "0 elements, wanted 4 (one a query, since there are ids)");
  with_ids.extent("ids", 0, 0,
                  "0 elements, wanted 6 (one a negative, since queries exclude by them)");
  with_ids.unreadable("ids");
  with_ids.unreadable("exclude_ids");
}

/// Losses of two matrices of the same shape.
inline rows_of of_two_views(rows_to& to, loss_case valid, const std::string& first,
                            const std::string& second) {
  rows_of rows(to, std::move(valid), {first, second});
  rows.common();
  rows.shaped(second);
  return rows;
}

inline void two_view_losses(rows_to& to) {
  const auto made = [](const std::string& loss, const std::string& first,
                       const std::string& second) {
    return two_views(loss, first, second, 4, 3, overwrite, overwrite, json::object());
  };
  const auto contrast = [&](loss_case valid, const std::string& first, const std::string& second,
                            index_t losses) {
    valid.learnable("temperature", 0.3).row_weights(losses);
    rows_of rows = of_two_views(to, valid, first, second);
    rows.statistics(8);
    rows.overlapping("statistics", "loss", {""});
    rows.positive("temperature");
  };
  contrast(made("symmetric_info_nce", "queries", "keys"), "queries", "keys", 4);
  contrast(made("nt_xent", "a", "b"), "a", "b", 8);
  of_two_views(to, made("negative_cosine", "prediction", "target").row_weights(4), "prediction",
               "target");
  of_two_views(to, made("kl_to_standard_normal", "mean", "log_variance").row_weights(4), "mean",
               "log_variance");
  rows_of sigmoid = of_two_views(
      to, made("sigmoid", "a", "b").learnable("scale", 4).learnable("bias", -3).row_weights(4), "a",
      "b");
  sigmoid.finite("scale");
  sigmoid.finite("bias");

  loss_case valid = made("masked_prediction", "prediction", "target").matrix("keep", 4, 3);
  rows_of masked = of_two_views(to, valid.row_weights(4), "prediction", "target");
  masked.numbers("beta", {-1, loss_rows::not_a_number, loss_rows::infinity},
                 "a finite number of at least 0");
  masked.in_host_memory("keep");
  for (const char* side : {"prediction", "target"})
    masked.overlapping("gradient of " + std::string(side), "keep");
  const std::size_t of_mask = to.size();
  masked.extent("keep", 1, 2, "shape (4, 2), wanted shape (4, 3) as x");
  masked.null("keep", {4, 3});
  for (std::size_t i = of_mask; i < to.size(); ++i) to[i].speaker = "mask_from";
}

/// Losses computed from statistics over rows.
inline void batch_losses(rows_to& to) {
  const auto batch = [&](const std::string& loss, index_t rows) {
    return two_views(loss, "a", "b", rows, 3, overwrite, overwrite, json::object());
  };
  for (const char* loss : {"barlow_twins", "vicreg", "hypersphere"}) {
    rows_of rows = of_two_views(to, batch(loss, 4), "a", "b");
    rows_of(to, batch(loss, 1), {"a", "b"})
        .row("a: got 1 row, wanted at least 2, since the loss is of statistics over rows");
    const std::string name = loss;
    if (name != "hypersphere") rows.positive("eps");
    if (name == "barlow_twins") rows.finite("lambda");
    if (name == "vicreg") {
      for (const char* weight : {"invariance", "variance", "covariance"}) rows.finite(weight);
    }
    if (name == "hypersphere") {
      rows.positive("t");
      rows.finite("lam");
      rows.positive("alpha");
    }
  }
}

inline void supervised_contrastive(rows_to& to) {
  loss_case valid("supervised_contrastive", json::object());
  valid.matrix("z", 4, 3, overwrite).numbers("labels", {4}, std::vector<double>{0, 0, 1, 1});
  rows_of rows(to, valid.learnable("temperature", 0.3).row_weights(4), {"z"});
  rows.common();
  rows.sized("labels", "a label a row");
  rows.statistics(4);
  rows.overlapping("statistics", "loss", {""});
  rows.positive("temperature");
}

inline void assignment_losses(rows_to& to) {
  loss_case valid("assignment_loss", json::object());
  valid.matrix("scores", 4, 3, overwrite).matrix("target.scores", 4, 3).row_weights(4);
  valid.numbers("target.potentials", {3}, [](index_t) { return 0.0; });
  rows_of target(to, valid, {"scores", "target.scores"});
  target.common();
  target.shaped("target.scores");
  target.sized("target.potentials", "a number a prototype");
  target.overlapping("gradient of scores", "target.potentials");
  target.positive("temperature");
  target.positive("epsilon", "target.");
  target.count("iterations", -1, "at least 0").message =
      "target.iterations: got -1, wanted at least 0";

  valid = two_views("swapped_assignment", "scores_a", "scores_b", 4, 3, overwrite, overwrite,
                    json::object());
  valid.matrix("extra_scores_a", 5, 3).matrix("extra_scores_b", 5, 3).row_weights(4);
  rows_of rows(to, valid, {"scores_a", "scores_b", "extra_scores_a", "extra_scores_b"});
  rows.common();
  rows.shaped("scores_b");
  rows.columns("extra_scores_a");
  rows.columns("extra_scores_b");
  rows.statistics(6, "the potentials of both views");
  rows.positive("temperature");
  rows.positive("epsilon");
  rows.count("iterations", -2, "at least 0");
}

/// Errors of losses with a support, which is a queue of 6 slots, 5 of them filled, or the rows of a
/// matrix.
inline void in_a_queue(rows_to& to, loss_case valid, const std::string& first,
                       const std::string& every, const std::string& left) {
  const bool is_swapped = valid.given.options["swapped"];
  const bool finds_slots = valid.loss == "mean_shift";  // its backward pass does not search
  const rows_of::verbs two = rows_of::with_statistics;
  const rows_of::verbs third = {"_with_gradients"};
  const rows_of::verbs of_queue = is_swapped ? third : two;
  const rows_of::verbs searching = finds_slots && !is_swapped ? rows_of::verbs{""} : of_queue;
  const auto on_host = [](misuse& row, index_t filled) {
    row.backend = seen_on::host;
    row.given.options["filled"] = filled;
    for (double& id : row.given.inputs.at("ids").data) id = 0;
  };
  rows_of with_ids(to, valid, {first});
  with_ids.sized("exclude_ids", "one a " + every, searching);
  with_ids.in_host_memory("ids", searching);
  on_host(with_ids.row("exclude_ids: got every filled row excluded for row 0, wanted " + left,
                       searching),
          5);
  on_host(with_ids.row("queue: got no filled rows, wanted at least one" +
                           std::string(finds_slots ? " to find" : ""),
                       of_queue),
          0);

  valid.given.inputs.erase("ids");
  valid.given.inputs.erase("exclude_ids");
  rows_of rows(to, valid, {first});
  const rows_of::verbs of_rows = is_swapped ? two : third;
  rows.columns("support", of_rows);
  rows.unreadable("support", of_rows);
  const std::string gradient = "gradient of " + first;
  rows.overlapping(gradient, is_swapped ? "support" : "queue.storage", {"_backward"});
  rows.overlapping(gradient, is_swapped ? "queue.storage" : "support", third);
}

inline void queue_losses(rows_to& to) {
  for (const bool is_swapped : {true, false}) {
    const json options = {{"swapped", is_swapped}};
    const loss_rows::queue_shape shape = {.rows = 4, .cols = 3, .support = 6, .filled = 5};
    loss_case slots = loss_rows::in_a_queue("mean_shift", "prediction", "targets", shape, overwrite,
                                            loss_rows::with(options, {{"k", 2}}));
    in_a_queue(to, slots, "prediction", "row", "a neighbour for every target");
    loss_case relations = loss_rows::in_a_queue("relation_distillation", "queries", "keys", shape,
                                                overwrite, options);
    in_a_queue(to, relations, "queries", "query", "one that is left for every query");
    if (is_swapped) continue;

    rows_of mean_shift(to, slots, {"prediction"});
    mean_shift.common();
    mean_shift.shaped("targets", rows_of::with_loss);
    mean_shift.unreadable("targets", rows_of::with_loss);
    mean_shift.overlapping("gradient of prediction", "targets", {"_with_gradients"});
    const rows_of::verbs of_queue = rows_of::with_statistics;
    for (const index_t k : {7, 0}) {
      mean_shift.count("k", k, "a number from 1 to 6", {"_with_gradients"});
      // The number of filled slots is in device memory, so it cannot be checked.
      mean_shift.count("k", k, "a number from 1 to 6", of_queue).backend = seen_on::device;
      mean_shift.count("k", k, "a number from 1 to 5", of_queue).backend = seen_on::host;
    }
    mean_shift.extent("indices", 1, 1,
                      "shape (4, 1), wanted shape (4, 2) as prediction and k ask for", of_queue);
    mean_shift.null("indices", {4, 2}, of_queue);
    mean_shift.in_host_memory("indices", of_queue);

    rows_of relation(to, relations, {"queries"});
    relation.common();
    relation.shaped("keys");
    relation.unreadable("keys");
    relation.overlapping("gradient of queries", "keys");
    relation.positive("temperature");
    relation.positive("teacher_temperature");
  }
}

inline void soft_neighbour_contrast(rows_to& to) {
  loss_case valid("soft_neighbour_contrast", json::object());
  valid.matrix("queries", 4, 3, overwrite).matrix("keys", 4, 3).matrix("neighbours", 8, 3);
  valid.matrix("attention", 4, 3, overwrite).row_weights(4);
  rows_of rows(to, valid, {"queries", "keys", "neighbours", "attention"});
  rows.common();
  rows.shaped("keys");
  rows.shaped("attention");
  rows.columns("neighbours");
  for (const index_t count : {7, 0}) {
    rows.extent(
        "neighbours", 0, count,
        std::to_string(count) + " rows, wanted as many for each of the 4 queries, one at least");
  }
  rows.positive("temperature");
  rows.positive("label_temperature");
  rows.numbers("neighbour_weight", {-0.5}, "at least 0");
  rows.finite("neighbour_weight");
}

}  // namespace misuse_of

/// All entries.
inline std::vector<misuse> loss_misuses() {
  std::vector<misuse> all;
  misuse_of::info_nce(all);
  misuse_of::hard_negative_info_nce(all);
  misuse_of::two_view_losses(all);
  misuse_of::batch_losses(all);
  misuse_of::supervised_contrastive(all);
  misuse_of::assignment_losses(all);
  misuse_of::queue_losses(all);
  misuse_of::soft_neighbour_contrast(all);
  return all;
}

/// Checks the error messages of every entry that applies to `backend`, and that nothing is written.
inline void check_misuses(const conformance::refusal_registry& losses, seen_on backend) {
  std::set<std::string> seen;
  for (const misuse& row : loss_misuses()) {
    seen.insert(row.loss);
    if (row.backend != seen_on::every_backend && row.backend != backend) continue;
    CAPTURE(row.given.name, row.message);
    conformance::arguments given(row.given);
    const conformance::refusals all = losses.at(row.loss)(given, row.verbs);
    for (const std::string& verb : row.verbs) {
      CHECK(all.at(verb).message == row.wanted(verb));
      CHECK_FALSE(all.at(verb).has_written);
    }
  }
  for (const auto& [name, loss] : losses) CHECK(seen.contains(name));
}

}  // namespace testing
