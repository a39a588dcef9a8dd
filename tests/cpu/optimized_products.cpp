// Products of matrices, in which tests of losses spend most of their time without optimisation
// (feaug_optimized_products in tests/CMakeLists.txt).
#include "feaug/cpu/core/tile_product.hpp"

template void feaug::cpu::multiply(feaug::instruction_set, const feaug::cpu::tile_product<float>&);
template void feaug::cpu::multiply(feaug::instruction_set, const feaug::cpu::tile_product<double>&);
