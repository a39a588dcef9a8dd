// A unit of plain C++ that takes views of device memory.
#include "rows.hpp"

feaug::index_t count_rows(const feaug::matrix_view<const float, feaug::memory_space::device>& x) {
  return x.rows();
}
