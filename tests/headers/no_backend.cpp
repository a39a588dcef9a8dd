// Must not compile: CALL uses an operator of CONTRACT, but the backend's header of this operator is
// not included. The error must name that header.
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
