// Instantiates every CPU loss for calls with an invalid argument.
#include "feaug/feaug.hpp"

// Last, because these templates call functions that the headers above declare.
#include "support/operators/cpu_backend.hpp"
#include "support/operators/cpu_losses.hpp"
#include "support/operators/losses.hpp"
#include "support/operators/refusals.hpp"

namespace conformance {

refusal_registry cpu_loss_refusals() {
  refusal_registry losses;
  add_losses<refusing_verbs, cpu_backend, float>(losses);
  losses["assignment_loss"] = refusing_verbs::run<assignment_loss<cpu_backend, float>>;
  return losses;
}

}  // namespace conformance
