// Row losses of info_nce, for the losses that are based on it.
#pragma once

#include <vector>

#include "loss/formula.hpp"

namespace testing {

/// `more(i, q)`: cosines of the query q = queries[i] with additional negatives for this query only.
template <class S, class More>
std::vector<S> info_nce_rows(const formula_inputs<S>& in, const More& more) {
  const bool normalize = in.option("normalize", true);
  const S temperature = in.number("temperature", 0.1);
  const rows_of<S> queries = directions(in.matrix("queries"), normalize);
  const rows_of<S> keys = directions(in.matrix("keys"), normalize);
  const rows_of<S> negatives = directions(in.matrix("negatives"), normalize);
  std::vector<S> losses;
  for (index_t i = 0; i < queries.size(); ++i) {
    const index_t p = i + in.option("positive_offset", index_t{0});
    std::vector<S> logits;
    for (index_t j = 0; j < keys.size(); ++j) {
      if (in.option("in_batch_negatives", true) || j == p)
        logits.push_back(dot(queries[i], keys[j]) / temperature);
    }
    for (index_t j = 0; j < negatives.size(); ++j)
      logits.push_back(dot(queries[i], negatives[j]) / temperature);
    for (const S& cosine : more(i, queries[i])) logits.push_back(cosine / temperature);
    losses.push_back(log_sum_exp(logits) - dot(queries[i], keys[p]) / temperature);
  }
  return losses;
}

}  // namespace testing
