// Mutual neighbours: a row counts only if the query is also among the row's nearest queries.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>

#include "feaug/augment/neighbour.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Like `of`, but of its k nearest rows only those count for which the query is among the `queries`
/// nearest queries of the batch (by cosine; equal ones by the lower row). A row that is near many
/// queries (a hub) therefore serves only the nearest of them. All rows of x are searched, whichever
/// are augmented; so out must not overlap x, and micro-batches give other results than the whole
/// batch. Costs a search of N·k rows among the N queries. Errors: those of `of`, and queries < 1.
/// Scratch: that of `of`, and 8 MiB.
template <neighbour_kind Of>
struct mutual_neighbour_of {
  Of of = {};
  index_t queries = 1;
};

/// The nearest row, if the query is also its nearest query.
using mutual_neighbour = mutual_neighbour_of<neighbour>;

template <class Of>
struct neighbour_rule<mutual_neighbour_of<Of>> {
  static constexpr std::string_view name = "mutual_neighbour";
  static constexpr int streams = neighbour_rule<Of>::streams;
  static constexpr bool mixes_rows = true;
  static constexpr bool draws_choice = neighbour_rule<Of>::draws_choice;
  static void validate(std::string_view op, const mutual_neighbour_of<Of>& how) {
    if (how.queries < 1)
      check::fail(op, "queries", check::text(how.queries), "a number of at least 1");
    neighbour_rule<Of>::validate(op, how.of);
  }
  static detail::neighbour_plan plan(const mutual_neighbour_of<Of>& how) {
    detail::neighbour_plan mutual = neighbour_rule<Of>::plan(how.of);
    mutual.mutual = how.queries;
    return mutual;
  }
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
