#include "feaug/interop/dlpack.hpp"

#include <catch2/catch.hpp>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "interop/dlpack_abi.hpp"
#include "support/message_of.hpp"

namespace dlpack_test {

using feaug::bfloat16;
using feaug::from_dlpack;
using feaug::half;
using feaug::memory_space;
using feaug::vector_from_dlpack;
using testing::message_of;
using namespace testing::dlpack;

namespace {

template <class Managed>
void refuse_to_delete(Managed* /*tensor*/) {
  throw std::logic_error("the deleter belongs to the owner");
}

/// A 4 × 3 tensor of floats, not owned by feaug. Each test changes the fields that it is about.
struct tensor {
  alignas(64) float memory[24] = {};
  std::int64_t shape[2] = {4, 3};
  std::int64_t strides[2] = {3, 1};
  DLManagedTensorVersioned versioned = {
      .version = {.major = 1, .minor = 1},
      .manager_ctx = nullptr,
      .deleter = refuse_to_delete<DLManagedTensorVersioned>,
      .flags = 0,
      .dl_tensor = {.data = memory,
                    .device = {.device_type = kDLCPU, .device_id = 0},
                    .ndim = 2,
                    .dtype = {.code = kDLFloat, .bits = 32, .lanes = 1},
                    .shape = shape,
                    .strides = strides,
                    .byte_offset = 0},
  };

  [[nodiscard]] DLManagedTensor unversioned() const {
    return {.dl_tensor = versioned.dl_tensor,
            .manager_ctx = nullptr,
            .deleter = refuse_to_delete<DLManagedTensor>};
  }
  DLTensor* operator->() { return &versioned.dl_tensor; }

  /// The error message of from_dlpack for this tensor.
  template <class T, memory_space Space = memory_space::host>
  std::string message() {
    return message_of([&] { from_dlpack<T, Space>(&versioned); });
  }
  template <class T>
  std::string vector_message() {
    return message_of([&] { vector_from_dlpack<T>(&versioned); });
  }
};

}  // namespace

TEST_CASE("a DLPack tensor is viewed without a copy", "[dlpack]") {
  tensor t;
  const auto check = [&](const auto& managed) {
    const auto view = from_dlpack<float>(&managed);
    static_assert(std::is_same_v<decltype(view), const feaug::matrix_view<float>>);
    CHECK(view.data == t.memory);
    CHECK(view.rows() == 4);
    CHECK(view.cols() == 3);
    CHECK(view.row_stride() == 3);
    CHECK(from_dlpack<const float>(&managed).data == t.memory);
  };
  SECTION("of either ABI") {
    check(t.versioned);
    check(t.unversioned());
  }
  SECTION("of a later minor version, copied by its producer") {
    t.versioned.version.minor = 99;
    t.versioned.flags = DLPACK_FLAG_BITMASK_IS_COPIED;
    check(t.versioned);
  }
  SECTION("of null strides, which mean packed") {
    t->strides = nullptr;
    check(t.versioned);
  }
  SECTION("of the ABI that called the device ctx") {
    const DLManagedTensorWithContext old = {.dl_tensor = {.data = t.memory,
                                                          .ctx = t->device,
                                                          .ndim = 2,
                                                          .dtype = t->dtype,
                                                          .shape = t.shape,
                                                          .strides = nullptr,
                                                          .byte_offset = 0},
                                            .manager_ctx = nullptr,
                                            .deleter = nullptr};
    check(old);
  }
}

TEST_CASE("DLPack strides and offset", "[dlpack]") {
  tensor t;
  t.strides[0] = 5;
  t->byte_offset = 2 * sizeof(float);
  const auto view = from_dlpack<float>(&t.versioned);
  CHECK(view.row_stride() == 5);
  CHECK(&view(3, 2) == t.memory + 2 + 3 * 5 + 2);

  SECTION("a stride of an axis of length 1 is ignored") {
    t.shape[0] = 1;
    t.strides[0] = -12345;
    CHECK(from_dlpack<float>(&t.versioned).row_stride() == 3);
    t.shape[0] = 4;
    t.shape[1] = 1;
    t.strides[0] = 2;
    t.strides[1] = 99;
    const auto column = from_dlpack<float>(&t.versioned);
    CHECK(column.strides[1] == 1);
    CHECK(&column(3, 0) == t.memory + 2 + 6);
  }
  SECTION("a broadcast row may be read, not written") {
    t.strides[0] = 0;
    CHECK(from_dlpack<const float>(&t.versioned).row_stride() == 0);
    CHECK(t.message<float>() ==
          "from_dlpack: tensor: got row stride 0, wanted at least 3 (its columns), since it is "
          "written");
  }
  SECTION("overlapping rows, strided features") {
    t.strides[0] = 2;
    CHECK(t.message<const float>() ==
          "from_dlpack: tensor: got row stride 2, wanted 0 or at least 3 (its columns)");
    t.strides[0] = 1;
    t.strides[1] = 4;
    CHECK(t.message<const float>() ==
          "from_dlpack: tensor: got stride 4 along the features, wanted stride 1 (contiguous "
          "features)");
  }
}

TEST_CASE("a DLPack shape may have more elements than int64 can count", "[dlpack]") {
  tensor t;
  t.shape[0] = 16;
  t.shape[1] = std::int64_t{1} << 60;
  t->strides = nullptr;
  CHECK(from_dlpack<float>(&t.versioned).row_stride() == t.shape[1]);
}

TEST_CASE("DLPack tensors without elements", "[dlpack]") {
  tensor t;
  t->data = nullptr;
  const int axis = GENERATE(0, 1);
  t.shape[axis] = 0;
  const auto view = from_dlpack<float>(&t.versioned);
  CHECK(view.data == nullptr);
  CHECK(view.empty());
  CHECK(view.extents[1 - axis] == t.shape[1 - axis]);
}

TEMPLATE_TEST_CASE("every element type has its DLPack type", "[dlpack]", float, double, half,
                   bfloat16, std::int64_t) {
  tensor t;
  int accepted = 0;
  const auto offer = [&](DLDataType type, bool is_own) {
    t->dtype = type;
    const bool fits = t.message<const TestType>().empty();
    CHECK(fits == is_own);
    accepted += fits ? 1 : 0;
  };
  offer({kDLFloat, 32, 1}, std::is_same_v<TestType, float>);
  offer({kDLFloat, 64, 1}, std::is_same_v<TestType, double>);
  offer({kDLFloat, 16, 1}, std::is_same_v<TestType, half>);
  offer({kDLBfloat, 16, 1}, std::is_same_v<TestType, bfloat16>);
  offer({kDLInt, 64, 1}, std::is_same_v<TestType, std::int64_t>);
  offer({kDLInt, 32, 1}, false);
  offer({kDLUInt, 64, 1}, false);
  offer({kDLComplex, 64, 1}, false);
  offer({kDLFloat, 32, 2}, false);
  CHECK(accepted == 1);
}

TEST_CASE("a DLPack vector may have any stride", "[dlpack]") {
  tensor t;
  t->ndim = 1;
  t.strides[0] = 5;
  const auto view = vector_from_dlpack<float>(&t.versioned);
  CHECK(view.size() == 4);
  CHECK(&view[3] == t.memory + 15);
  t.strides[0] = 0;
  CHECK(vector_from_dlpack<const float>(&t.versioned).size() == 4);
  CHECK(t.vector_message<float>() ==
        "vector_from_dlpack: tensor: got stride 0, wanted distinct elements, since it is written");
  t->strides = nullptr;
  CHECK(&vector_from_dlpack<const float>(&t.versioned)[3] == t.memory + 3);

  CHECK(t.message<float>() == "from_dlpack: ndim: got 1, wanted 2");
  t->ndim = 2;
  CHECK(t.vector_message<float>() == "vector_from_dlpack: ndim: got 2, wanted 1");
}

TEST_CASE("a DLPack tensor is viewed only in its own memory space", "[dlpack]") {
  tensor t;
  const auto check = [&](DLDeviceType device, const std::string& on_host,
                         const std::string& on_device) {
    t->device.device_type = device;
    CHECK(t.message<float>() == on_host);
    CHECK(t.message<float, memory_space::device>() == on_device);
  };
  check(kDLCPU, "", "from_dlpack: device: got CPU, wanted CUDA");
  check(kDLCUDA, "from_dlpack: device: got CUDA, wanted CPU", "");
  check(kDLCUDAHost, "", "");
  check(kDLCUDAManaged, "", "");
  check(kDLMetal, "from_dlpack: device: got device type 8, wanted CPU",
        "from_dlpack: device: got device type 8, wanted CUDA");
  static_assert(std::is_same_v<decltype(from_dlpack<float, memory_space::device>(&t.versioned)),
                               feaug::matrix_view<float, memory_space::device>>);
}

TEST_CASE("error messages of from_dlpack", "[dlpack]") {
  tensor t;
  SECTION("no tensor") {
    const DLManagedTensor* nothing = nullptr;
    CHECK(message_of([&] { from_dlpack<float>(nothing); }) ==
          "from_dlpack: managed: got a null pointer, wanted a managed tensor");
  }
  SECTION("type") {
    t->dtype.bits = 64;
    CHECK(t.message<float>() == "from_dlpack: dtype: got float64, wanted float32");
    t->dtype = {.code = kDLBfloat, .bits = 16, .lanes = 1};
    CHECK(t.message<half>() == "from_dlpack: dtype: got bfloat16, wanted float16");
    t->dtype = {.code = kDLFloat, .bits = 32, .lanes = 4};
    CHECK(t.message<float>() == "from_dlpack: dtype: got float32 x 4 lanes, wanted float32");
    t->dtype = {.code = kDLBool, .bits = 8, .lanes = 1};
    CHECK(t.message<float>() == "from_dlpack: dtype: got bool, wanted float32");
    t->dtype = {.code = 17, .bits = 4, .lanes = 1};
    CHECK(t.message<float>() == "from_dlpack: dtype: got type code 17 of bits 4, wanted float32");
  }
  SECTION("version: checked before all other fields") {
    t->dtype.bits = 64;
    t.versioned.version = {.major = 2, .minor = 3};
    CHECK(t.message<float>() == "from_dlpack: version: got 2.3, wanted 1.x");
    t.versioned.version.major = 0;
    CHECK(t.message<float>() == "from_dlpack: version: got 0.3, wanted 1.x");
  }
  SECTION("read-only") {
    t.versioned.flags = DLPACK_FLAG_BITMASK_READ_ONLY;
    CHECK(t.message<float>() ==
          "from_dlpack: flags: got a read-only tensor, wanted a writable one, or const elements");
    CHECK(t.message<const float>().empty());
  }
  SECTION("pointers") {
    t->byte_offset = 2;
    CHECK(t.message<float>() ==
          "from_dlpack: data: got an address (byte_offset 2 included) that is no multiple of 4, "
          "wanted an aligned one");
    t->byte_offset = 0;
    t->data = nullptr;
    CHECK(t.message<float>() ==
          "from_dlpack: data: got a null pointer, wanted a pointer to its elements");
    t->shape = nullptr;
    CHECK(t.message<float>() == "from_dlpack: shape: got a null pointer, wanted 2 extents");
  }
  SECTION("extents") {
    t.shape[0] = -1;
    CHECK(t.message<float>() ==
          "from_dlpack: tensor: got shape (-1, 3), wanted extents of at least 0");
  }
}

}  // namespace dlpack_test
