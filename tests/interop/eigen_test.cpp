#include "feaug/interop/eigen.hpp"

#include <Eigen/Core>
#include <catch2/catch.hpp>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "support/message_of.hpp"

namespace eigen_test {

using feaug::as_eigen;
using feaug::index_t;
using feaug::matrix_view;
using feaug::vector_view;
using testing::message_of;

namespace {

using row_major = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

/// Checks a view's type, memory and shape.
template <class View, class T>
void check_matrix(const View& view, T* data, index_t rows, index_t cols, index_t row_stride) {
  static_assert(std::is_same_v<View, matrix_view<T>>);
  CHECK(view.data == data);
  CHECK(view.rows() == rows);
  CHECK(view.cols() == cols);
  CHECK(view.row_stride() == row_stride);
  CHECK(view.strides[1] == 1);
}

template <class View, class T>
void check_vector(const View& view, T* data, index_t size, index_t stride) {
  static_assert(std::is_same_v<View, vector_view<T>>);
  CHECK(view.data == data);
  CHECK(view.size() == size);
  CHECK(view.strides[0] == stride);
}

}  // namespace

TEST_CASE("Eigen's row-major objects are viewed without a copy", "[eigen]") {
  row_major m = row_major::Random(5, 4);
  const row_major& constant = m;
  const float* constant_data = m.data();
  check_matrix(feaug::view(m), m.data(), 5, 4, 4);
  check_matrix(feaug::view(constant), constant_data, 5, 4, 4);
  check_matrix(feaug::view(m.middleRows(1, 2)), m.data() + 4, 2, 4, 4);
  check_matrix(feaug::view(m.rightCols(3)), m.data() + 1, 5, 3, 4);
  check_matrix(feaug::view(m.block(1, 1, 2, 2)), m.data() + 5, 2, 2, 4);
  check_matrix(feaug::view(constant.topRows(2)), constant_data, 2, 4, 4);
  check_matrix(feaug::view(m.array()), m.data(), 5, 4, 4);

  using strided_map = Eigen::Map<row_major, 0, Eigen::OuterStride<>>;
  Eigen::Map<row_major> map(m.data(), 2, 10);
  check_matrix(feaug::view(map), m.data(), 2, 10, 10);
  check_matrix(feaug::view(Eigen::Map<const row_major>(m.data(), 2, 10)), constant_data, 2, 10, 10);
  check_matrix(feaug::view(strided_map(m.data(), 2, 3, Eigen::OuterStride<>(7))), m.data(), 2, 3,
               7);
  Eigen::Ref<row_major> reference(m);
  check_matrix(feaug::view(reference), m.data(), 5, 4, 4);

  Eigen::Matrix<double, 3, 2, Eigen::RowMajor> fixed;
  check_matrix(feaug::view(fixed), fixed.data(), 3, 2, 2);
  Eigen::Array<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> array(2, 3);
  check_matrix(feaug::view(array), array.data(), 2, 3, 3);
}

TEST_CASE("samples in the columns of a column-major matrix are viewed by its transpose",
          "[eigen]") {
  Eigen::MatrixXf m(3, 6);
  const Eigen::MatrixXf& constant = m;
  const float* constant_data = m.data();
  check_matrix(feaug::view(m.transpose()), m.data(), 6, 3, 3);
  check_matrix(feaug::view(constant.transpose()), constant_data, 6, 3, 3);
  check_matrix(feaug::view(m.topRows(2).transpose()), m.data(), 6, 2, 3);
}

TEST_CASE("Eigen's vectors are viewed with their stride", "[eigen]") {
  Eigen::VectorXf v(4);
  const Eigen::VectorXf& constant = v;
  const float* constant_data = v.data();
  check_vector(feaug::view(v), v.data(), 4, 1);
  check_vector(feaug::view(constant), constant_data, 4, 1);
  check_vector(feaug::view(v.tail(2)), v.data() + 2, 2, 1);
  row_major m(5, 4);
  check_vector(feaug::view(m.row(2)), m.data() + 8, 4, 1);
  check_vector(feaug::view(m.col(1)), m.data() + 1, 5, 4);
  Eigen::Matrix<std::int64_t, Eigen::Dynamic, 1> labels(3);
  check_vector(feaug::view(labels), labels.data(), 3, 1);
}

TEST_CASE("a map with strided features is rejected", "[eigen]") {
  std::vector<float> memory(20);
  using steps = Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>;
  const Eigen::Map<row_major, 0, steps> apart(memory.data(), 2, 3, steps(8, 2));
  CHECK(message_of([&] { feaug::view(apart); }) ==
        "view: matrix: got stride 2 along the features, wanted stride 1 (contiguous features)");
  Eigen::Map<row_major, 0, steps> together(memory.data(), 2, 3, steps(8, 1));
  check_matrix(feaug::view(together), memory.data(), 2, 3, 8);
}

TEST_CASE("Eigen's 16-bit types are viewed as feaug's, without a copy", "[eigen]") {
  Eigen::Matrix<Eigen::half, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> h(1, 2);
  h << Eigen::half(1.5F), Eigen::half(-0.25F);
  const auto h_view = feaug::view(h);
  static_assert(std::is_same_v<decltype(h_view), const matrix_view<feaug::half>>);
  CHECK(static_cast<void*>(h_view.data) == static_cast<void*>(h.data()));
  CHECK(feaug::load(h_view(0, 0)) == 1.5F);
  CHECK(feaug::load(h_view(0, 1)) == -0.25F);
  CHECK(static_cast<float>(as_eigen(h_view)(0, 1)) == -0.25F);

  Eigen::Matrix<Eigen::bfloat16, Eigen::Dynamic, 1> b(1);
  b(0) = Eigen::bfloat16(3.0F);
  const auto& constant = b;
  const auto b_view = feaug::view(constant);
  static_assert(std::is_same_v<decltype(b_view), const vector_view<const feaug::bfloat16>>);
  CHECK(feaug::load(b_view[0]) == 3.0F);
  CHECK(static_cast<float>(as_eigen(b_view)(0)) == 3.0F);
}

TEST_CASE("as_eigen maps a view as an Eigen object", "[eigen]") {
  row_major m = row_major::Random(6, 5);
  const auto back = as_eigen(feaug::view(m.rightCols(3)));
  CHECK(back.data() == m.data() + 2);
  CHECK((back.array() == m.rightCols(3).array()).all());
  as_eigen(feaug::view(m)).setConstant(2.0F);
  CHECK(m(5, 4) == 2.0F);

  const matrix_view<const float> constant = feaug::view(m);
  static_assert(std::is_same_v<decltype(as_eigen(constant).data()), const float*>);
  const matrix_view<const float> broadcast(m.data(), 4, 5, 0);
  CHECK(&as_eigen(broadcast).coeffRef(3, 0) == m.data());

  as_eigen(feaug::view(m.col(1))).setZero();
  CHECK(m.col(1).isZero());
  CHECK(m(0, 0) == 2.0F);

  matrix_view<float> apart(m.data(), 2, 2);
  apart.strides[1] = 2;
  CHECK(message_of([&] { as_eigen(apart); }) ==
        "as_eigen: view: got stride 2 along the features, wanted stride 1 (contiguous features)");
}

TEST_CASE("Eigen objects without elements", "[eigen]") {
  row_major none(0, 4);
  CHECK(feaug::view(none).rows() == 0);
  CHECK(feaug::view(none).cols() == 4);
  CHECK(as_eigen(feaug::view(none)).cols() == 4);
  CHECK(as_eigen(vector_view<float>()).size() == 0);
}

}  // namespace eigen_test
