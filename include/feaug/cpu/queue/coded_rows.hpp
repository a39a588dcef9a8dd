// Rows of a search quantized to 8 bits a feature: as they are, or projected.
#pragma once

#include "feaug/header_begin.hpp"

#include <algorithm>
#include <concepts>

#include "feaug/core/element.hpp"
#include "feaug/core/l2_norm.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/cpu/core/instruction_set.hpp"
#include "feaug/cpu/core/l2_norm.hpp"
#include "feaug/cpu/core/parallel.hpp"
#include "feaug/cpu/core/scratch_array.hpp"
#include "feaug/cpu/core/workspace.hpp"
#include "feaug/cpu/queue/exact_scan.hpp"
#include "feaug/cpu/queue/pruning/principal_subspace.hpp"
#include "feaug/cpu/queue/pruning/quantized_rows.hpp"
#include "feaug/queue/queue_shadow.hpp"
#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu {

/// Quantized rows: of the first rows, or of a chunk of them.
struct coded_rows {
  queue_shadow shadow;
  index_t features;
  float rest = 0;  ///< of projected rows, an upper bound of ‖rest‖ / ‖row‖
};

/// Quantizes `count` rows of a space from `first` on, into the first rows of a shadow. If `inverse` is
/// not null, it also gets their inverse norms, so that their features come from memory only once.
template <element T>
void code_rows(cpu_context& ctx, const search_space<T>& space, index_t first, index_t count,
               const queue_shadow& shadow, double* inverse) {
  constexpr index_t at_once = 8;
  const instruction_set instructions = usable(ctx.instructions);
  for_each_row_block(ctx, count, space.rows.cols(), [&](index_t begin, index_t here, int) {
    for (index_t r = begin; r < begin + here; ++r) {
      if (inverse != nullptr && (r - begin) % at_once == 0)
        inverse_norms_of(instructions, space.rows, first + r, std::min(at_once, begin + here - r),
                         default_norm_eps, inverse);
      write_shadow_row(instructions, shadow, r, space.rows.row(first + r), space.rows.cols(),
                       inverse_norm_of(space, first + r));
    }
  });
}

/// Projects `count` rows of a space from `first` on and quantizes them, into the first rows of a
/// shadow of `subspace.features` features; `inverse` as above. Returns an upper bound of ‖rest‖ /
/// ‖row‖. Limited by 2·D·features FLOP a row.
template <element T>
float code_projected_rows(cpu_context& ctx, const search_space<T>& space, index_t first,
                          index_t count, const principal_subspace& subspace,
                          const queue_shadow& shadow, double* inverse) {
  if constexpr (std::same_as<compute_t<T>, float>) {
    struct worker_state {
      projection_scratch memory;
      double largest = 0;
    };
    const instruction_set instructions = usable(ctx.instructions);
    const index_t blocks = (count + projected_rows - 1) / projected_rows;
    workspace::scope scope(ctx.workspace);
    const scratch_array<worker_state> states(scope, worker_count(ctx, blocks), [&] {
      return worker_state{.memory = take_projection_scratch(scope, subspace.cols)};
    });
    for_each_block(ctx, blocks, [&](index_t block, int worker) {
      worker_state& state = states[worker];
      const index_t begin = block * projected_rows;
      const index_t here = std::min(projected_rows, count - begin);
      if (inverse != nullptr)
        inverse_norms_of(instructions, space.rows, first + begin, here, default_norm_eps, inverse);
      double factors[projected_rows] = {};
      for (index_t r = 0; r < here; ++r) factors[r] = inverse_norm_of(space, first + begin + r);
      state.largest = std::max(state.largest, project(subspace, instructions, space.rows,
                                                      first + begin, here, factors, state.memory));
      for (index_t r = 0; r < here; ++r)
        write_shadow_row<float>(instructions, shadow, begin + r,
                                state.memory.projected + r * subspace.features, subspace.features,
                                1.0);
    });
    double largest = 0;
    for (index_t i = 0; i < states.size(); ++i) largest = std::max(largest, states[i].largest);
    return static_cast<float>(largest * (1.0 + 0x1p-20));
  } else {
    return 0;  // doubles are not projected
  }
}

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE::cpu

#include "feaug/header_end.hpp"
