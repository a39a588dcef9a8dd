// from_dlpack and vector_from_dlpack, with arbitrary tensors. A plain restatement of their
// documentation says whether a tensor is accepted, and what its view is.
#include "feaug/interop/dlpack.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "feaug/core/element.hpp"
#include "feaug/core/error.hpp"
#include "feaug/core/tensor_view.hpp"
#include "fuzz/target.hpp"
#include "interop/dlpack_abi.hpp"

namespace {

using feaug::index_t;
using feaug::memory_space;
namespace abi = testing::dlpack;

constexpr std::size_t memory_bytes = 4096;

/// A tensor whose members are arbitrary or, mostly, valid.
class tensor {
 public:
  explicit tensor(fuzz::choices& choose) {
    for (std::size_t i = 0; i < memory_.size(); ++i) memory_[i] = static_cast<std::byte>(i * 7);
    rank_ = static_cast<int>(choose.one_in(8) ? choose.between(-1, 3) : choose.between(1, 2));
    for (std::int64_t& extent : shape_) {
      extent = choose.between(0, 9);
      if (choose.one_in(24)) extent = of_any_size(choose);
    }
    strides_ = {shape_[1], 1, 1};
    const bool is_small = shape_[1] >= 0 && shape_[1] < 10;
    if (is_small && choose.one_in(4)) strides_[0] += choose.between(-2, 3);
    for (std::int64_t& stride : strides_) {
      if (choose.one_in(24)) stride = of_any_size(choose);
    }
    has_strides_ = choose.one_in(2);
    const type chosen = choose.member_of(types);
    type_ = {chosen.code, chosen.bits, chosen.lanes};
    if (choose.one_in(16)) {
      type_ = {choose.byte(), choose.byte(), static_cast<std::uint16_t>(choose.between(0, 4))};
    }
    device_ = choose.one_of({abi::kDLCPU, abi::kDLCPU, abi::kDLCPU, abi::kDLCUDA, abi::kDLCUDAHost,
                             abi::kDLCUDAManaged, abi::kDLMetal});
    if (choose.one_in(4)) offset_ = static_cast<std::uint64_t>(choose.between(0, 24));
    has_data_ = !choose.one_in(16);
    has_shape_ = !choose.one_in(32);
    version_ = {.major = choose.one_in(12) ? static_cast<std::uint32_t>(choose.between(0, 3)) : 1U,
                .minor = static_cast<std::uint32_t>(choose.between(0, 9))};
    flags_ = static_cast<std::uint64_t>(choose.between(0, 3));
  }

  template <class Tensor>
  void fill(Tensor& to) {
    to.data = has_data_ ? memory_.data() : nullptr;
    if constexpr (requires { to.device; }) {
      to.device = {.device_type = device_, .device_id = 0};
    } else {
      to.ctx = {.device_type = device_, .device_id = 0};
    }
    to.ndim = rank_;
    to.dtype = type_;
    to.shape = has_shape_ ? shape_.data() : nullptr;
    to.strides = has_strides_ ? strides_.data() : nullptr;
    to.byte_offset = offset_;
  }
  template <class Managed>
  Managed managed() {
    Managed made{};
    fill(made.dl_tensor);
    if constexpr (requires { made.version; }) {
      made.version = version_;
      made.flags = flags_;
    }
    return made;
  }

  template <class Managed, class T, std::size_t Rank, memory_space Space>
  void check() {
    const Managed given = managed<Managed>();
    feaug::tensor_view<T, Rank, Space> view;
    bool is_accepted = true;
    try {
      if constexpr (Rank == 2) {
        view = feaug::from_dlpack<T, Space>(&given);
      } else {
        view = feaug::vector_from_dlpack<T, Space>(&given);
      }
    } catch (const feaug::argument_error& refused) {
      is_accepted = false;
      const std::string op = Rank == 2 ? "from_dlpack: " : "vector_from_dlpack: ";
      fuzz::require(std::string(refused.what()).starts_with(op), "a message of another function");
    }
    fuzz::require(is_accepted == is_valid<Managed, T, Rank>(Space),
                  is_accepted ? "an invalid tensor is accepted" : "a valid tensor is refused");
    if (is_accepted) compare(view);
  }

 private:
  struct type {
    std::uint8_t code, bits;
    std::uint16_t lanes;
  };
  static constexpr std::array<type, 8> types = {{{abi::kDLFloat, 32, 1},
                                                 {abi::kDLFloat, 64, 1},
                                                 {abi::kDLFloat, 16, 1},
                                                 {abi::kDLBfloat, 16, 1},
                                                 {abi::kDLInt, 64, 1},
                                                 {abi::kDLInt, 32, 1},
                                                 {abi::kDLBool, 8, 1},
                                                 {abi::kDLFloat, 32, 2}}};

  static std::int64_t of_any_size(fuzz::choices& choose) {
    constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
    return choose.one_of(
        {std::int64_t{-1}, most, -most, std::int64_t{1} << 32, choose.any_integer()});
  }

  template <class T>
  static type wanted_type() {
    if constexpr (std::is_same_v<T, double>) return types[1];
    if constexpr (std::is_same_v<T, feaug::half>) return types[2];
    if constexpr (std::is_same_v<T, feaug::bfloat16>) return types[3];
    if constexpr (std::is_same_v<T, std::int64_t>) return types[4];
    return types[0];
  }

  [[nodiscard]] std::int64_t stride(std::size_t axis, std::size_t rank) const {
    if (shape_[axis] <= 1 || !has_strides_) return axis + 1 < rank ? shape_[1] : 1;
    return strides_[axis];
  }

  template <class Managed, class T, std::size_t Rank>
  [[nodiscard]] bool is_valid(memory_space space) const {
    constexpr bool is_versioned = requires(const Managed& m) { m.version; };
    constexpr bool is_written = !std::is_const_v<T>;
    if (is_versioned && version_.major != 1) return false;
    if (is_versioned && is_written && (flags_ & 1) != 0) return false;
    const type wanted = wanted_type<std::remove_const_t<T>>();
    if (type_.code != wanted.code || type_.bits != wanted.bits || type_.lanes != wanted.lanes)
      return false;
    const bool is_shared = device_ == abi::kDLCUDAHost || device_ == abi::kDLCUDAManaged;
    if (!is_shared && device_ != (space == memory_space::host ? abi::kDLCPU : abi::kDLCUDA))
      return false;
    if (rank_ != static_cast<int>(Rank) || !has_shape_) return false;
    bool is_empty = false;
    for (std::size_t axis = 0; axis < Rank; ++axis) {
      if (shape_[axis] < 0) return false;
      is_empty = is_empty || shape_[axis] == 0;
    }
    if (is_empty) return true;
    if (!has_data_ || offset_ % alignof(T) != 0) return false;
    if constexpr (Rank == 2) {
      if (shape_[1] > 1 && stride(1, 2) != 1) return false;
      const bool may_repeat = !is_written && stride(0, 2) == 0;
      return shape_[0] <= 1 || may_repeat || stride(0, 2) >= shape_[1];
    }
    return !is_written || shape_[0] <= 1 || stride(0, 1) != 0;
  }

  template <class T, std::size_t Rank, memory_space Space>
  void compare(const feaug::tensor_view<T, Rank, Space>& view) const {
    bool is_empty = false;
    for (std::size_t axis = 0; axis < Rank; ++axis) {
      fuzz::require(view.extents[axis] == shape_[axis], "another extent");
      fuzz::require(shape_[axis] <= 1 || view.strides[axis] == stride(axis, Rank),
                    "another stride");
      is_empty = is_empty || shape_[axis] == 0;
    }
    if (is_empty) return;
    const std::byte* begin = memory_.data() + offset_;
    fuzz::require(static_cast<const void*>(view.data) == begin, "another address");
    read_all(view);
  }

  /// Reads every element, if the tensor is in memory_.
  template <class T, std::size_t Rank, memory_space Space>
  void read_all(const feaug::tensor_view<T, Rank, Space>& view) const {
    constexpr std::int64_t elements = memory_bytes / sizeof(T);
    std::int64_t last = static_cast<std::int64_t>(offset_ / sizeof(T)) + 1;
    for (std::size_t axis = 0; axis < Rank; ++axis) {
      if (shape_[axis] > elements || view.strides[axis] < 0 || view.strides[axis] > elements)
        return;
      last += (shape_[axis] - 1) * view.strides[axis];
    }
    if (last > elements) return;
    unsigned sum = 0;
    const auto read = [&sum](const T& x) {
      const auto* bytes = reinterpret_cast<const unsigned char*>(&x);
      for (std::size_t i = 0; i < sizeof(T); ++i) sum += bytes[i];
    };
    for (index_t i = 0; i < view.extents[0]; ++i) {
      if constexpr (Rank == 2) {
        for (index_t j = 0; j < view.cols(); ++j) read(view.row(i)[j]);
      } else {
        read(view.data[i * view.strides[0]]);
      }
    }
    volatile unsigned kept = sum;  // the reads must not be optimised away
    static_cast<void>(kept);
  }

  alignas(64) std::array<std::byte, memory_bytes> memory_{};
  int rank_ = 2;
  std::array<std::int64_t, 3> shape_{};
  std::array<std::int64_t, 3> strides_{};
  bool has_strides_ = false;
  bool has_data_ = true;
  bool has_shape_ = true;
  abi::DLDataType type_{};
  abi::DLDeviceType device_ = abi::kDLCPU;
  std::uint64_t offset_ = 0;
  abi::DLPackVersion version_{};
  std::uint64_t flags_ = 0;
};

template <class Managed, class T>
void check_type(tensor& given) {
  given.check<Managed, T, 2, memory_space::host>();
  given.check<Managed, const T, 2, memory_space::host>();
  given.check<Managed, T, 1, memory_space::host>();
  given.check<Managed, const T, 1, memory_space::device>();
}

template <class Managed>
void check_all(tensor& given) {
  check_type<Managed, float>(given);
  check_type<Managed, double>(given);
  check_type<Managed, feaug::half>(given);
  check_type<Managed, feaug::bfloat16>(given);
  check_type<Managed, std::int64_t>(given);
}

}  // namespace

void fuzz::try_one(choices& choose) {
  tensor given(choose);
  check_all<abi::DLManagedTensor>(given);
  check_all<abi::DLManagedTensorVersioned>(given);
  check_all<abi::DLManagedTensorWithContext>(given);
}
