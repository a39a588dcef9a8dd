// A unit that finds a header of cuBLAS, while main.cu is compiled without cuBLAS.
#include <feaug/feaug.cuh>

#include "rows.hpp"

const std::type_info& context_with_cublas() { return typeid(feaug::cuda_context); }
