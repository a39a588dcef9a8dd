// Argument checks shared by all diagnostics.
#pragma once

#include "feaug/header_begin.hpp"

#include <string_view>
#include <type_traits>

#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Destination of a diagnostic: one element.
template <class Context>
using diagnostic_destination = std::type_identity_t<required_vector<double, Context::space>>;

namespace check {

/// Checks the output of a diagnostic: one number.
template <memory_space S>
void diagnostic_output(std::string_view op, const vector_view<double, S>& to) {
  writable(op, "to", to);
  has_size(op, "to", to, 1, "one number");
}

/// Checks a batch: readable, with at least `rows` rows.
template <class T, memory_space S>
void batch(std::string_view op, std::string_view argument, const matrix_view<T, S>& x,
           index_t rows) {
  readable(op, argument, x);
  not_empty(op, argument, x);
  if (x.rows() < rows)
    fail(op, argument, text(x.rows()) + (x.rows() == 1 ? " row" : " rows"),
         "at least " + text(rows));
}

}  // namespace check
}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
