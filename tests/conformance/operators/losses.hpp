// info_nce, symmetric_info_nce, nt_xent, negative_cosine.
#pragma once

#include "operators/contrastive_losses.hpp"
#include "operators/negative_cosine_loss.hpp"
#include "operators/run_loss.hpp"
#include "registry.hpp"

namespace conformance {

template <class Backend, class T>
void add_losses(registry& operators) {
  operators["info_nce"] = run_loss<info_nce_loss<Backend, T>>;
  operators["symmetric_info_nce"] = run_loss<symmetric_info_nce_loss<Backend, T>>;
  operators["nt_xent"] = run_loss<nt_xent_loss<Backend, T>>;
  operators["negative_cosine"] = run_loss<negative_cosine_loss<Backend, T>>;
}

}  // namespace conformance
