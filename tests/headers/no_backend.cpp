// Must not compile: CALL, of CONTRACT, for a context whose header of the operator is not included.
// The error is to name that header.
#include "feaug/augment/mask.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/core/context.hpp"
#include CONTRACT

void call(feaug::cpu_context& ctx, feaug::matrix_view<float> x, feaug::vector_view<float> loss,
          feaug::vector_view<double> number) {
  static_cast<void>(loss);
  static_cast<void>(number);
  CALL;
}
