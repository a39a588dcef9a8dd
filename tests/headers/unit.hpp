// The function that both units of feaug_headers_twice instantiate.
#pragma once

#include <array>
#include <feaug/feaug.hpp>

namespace {

/// InfoNCE of two pairs. Every key equals its query, so the loss is log(1 + exp(−1/τ)).
[[maybe_unused]] double loss_of_two_pairs() {
  std::array<float, 4> unit_rows = {1, 0, 0, 1};
  const feaug::matrix_view<const float> rows(unit_rows.data(), 2, 2);
  feaug::cpu_context ctx{.threads = 2};
  return feaug::info_nce(ctx, rows, rows, {.temperature = 0.5});
}

}  // namespace
