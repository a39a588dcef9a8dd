// The momentum_update operator: updates a momentum (EMA target) network from the online network,
// all parameters in one call: target = momentum · target + (1 − momentum) · online.
#if defined(FEAUG_PYTHON_CUDA)
#include <feaug/cuda/step/momentum_update.cuh>
#else
#include <feaug/cpu/step/momentum_update.hpp>
#endif
#include <vector>

#include "views.hpp"

namespace feaug_python {

void momentum_update(const caller& from, std::span<const buffer> targets,
                     std::span<const buffer> online, double momentum) {
  constexpr std::string_view op = "momentum_update";
  if (targets.empty()) return;
  lend_context(from, [&](context& ctx) {
    with_element(op, "target_params", targets[0], [&](auto element) {
      using T = typename decltype(element)::type;
      std::vector<feaug::momentum_pair<T, T, space>> pairs;
      pairs.reserve(targets.size());
      for (std::size_t i = 0; i < targets.size(); ++i) {
        pairs.emplace_back(vector<T>(op, "target_params", targets[i]),
                           vector_view<const T>(vector<T>(op, "online_params", online[i])));
      }
      feaug::momentum_update(ctx, pairs, momentum);
    });
  });
}

}  // namespace feaug_python
