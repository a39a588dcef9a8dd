// The feature augmentations of the command line; their kinds and number are known only at run time.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "feaug/augment/variant.hpp"
#include "feaug/core/operand.hpp"
#include "feaug/core/random.hpp"
#include "feaug/core/row_selection.hpp"
#include "feaug/core/tensor_view.hpp"
#include "feaug/cpu/augment/augmentation.hpp"
#include "feaug/cpu/augment/covariance_noise.hpp"
#include "feaug/cpu/augment/elementwise.hpp"
#include "feaug/cpu/augment/mask.hpp"
#include "feaug/cpu/augment/mix.hpp"
#include "feaug/cpu/augment/neighbour.hpp"
#include "feaug/cpu/augment/noise.hpp"
#include "feaug/cpu/augment/pseudo_neighbour.hpp"
#include "feaug/cpu/augment/row_mix.hpp"
#include "feaug/cpu/augment/soft_neighbour.hpp"
#include "feaug/cpu/core/context.hpp"
#include "feaug/queue/support_queue.hpp"
#include "settings.hpp"

namespace trainer {

template <class How>
using neighbour_policy_of = feaug::neighbour_policy<float, feaug::memory_space::host, How>;

using any_augmentation = std::variant<
    feaug::identity, neighbour_policy_of<feaug::neighbour>,
    neighbour_policy_of<feaug::random_neighbour>, neighbour_policy_of<feaug::mean_neighbour>,
    neighbour_policy_of<feaug::pseudo_neighbour>, neighbour_policy_of<feaug::mutual_neighbour>,
    feaug::soft_neighbour_policy<float>,
    feaug::covariance_noise_policy<feaug::running_covariance<>>, feaug::mask, feaug::gaussian_noise,
    feaug::interpolate, feaug::extrapolate, feaug::slerp, feaug::exchange_moments>;

/// One to four augmentations, applied in sequence; a feaug policy through the traits below.
///
/// feaug::compose does the same for parts whose types are known at compile time. With four variants
/// of ten alternatives each, it would compile every alternative at every position.
struct augmentation_sequence {
  std::vector<any_augmentation> parts;
};

/// The policy traits of a sequence; see feaug/augment/augmentation.hpp for each member.
struct sequence_traits : feaug::augmentation_defaults {
  using policy_type = augmentation_sequence;
  static constexpr std::string_view name = "sequence";
  static constexpr int most_parts = 4;
  /// Streams of one part. Part i draws from the streams after those of part i − 1.
  static constexpr int part_streams = feaug::stream_count<any_augmentation>;
  /// Always the number for most_parts, so that later draws do not depend on the number of parts.
  static constexpr int streams = most_parts * part_streams;
  static constexpr bool mixes_rows = true;
  static constexpr bool backward_reads_value = true;

  static bool wants_gradient(const policy_type& policy);
  static void validate(const policy_type& policy, feaug::index_t rows, feaug::index_t cols);
  static void add_memory(const policy_type& policy, feaug::check::call_memory& memory);
  static void check_forward(const policy_type& policy, const feaug::matrix_view<float>& out,
                            bool alone);
  static void check_backward(const policy_type& policy, const feaug::operand<float>& x,
                             const feaug::matrix_view<const float>& grad_out);
  static void forward(feaug::cpu_context& ctx, const policy_type& policy,
                      feaug::matrix_view<const float> x, const feaug::random_key& key,
                      const feaug::row_selection& selection, feaug::matrix_view<float> out);
  static void backward(feaug::cpu_context& ctx, const policy_type& policy,
                       const feaug::operand<float>& x, const feaug::random_key& key,
                       const feaug::row_selection& selection,
                       feaug::matrix_view<const float> grad_out);
};

/// What augmentations read besides the features.
struct augmentation_inputs {
  feaug::support_queue<float> queue;
  const std::vector<std::int64_t>& ids;  ///< of the batch's images
  feaug::running_covariance<> covariance;
  std::int64_t epoch;
};

/// The augmentations that `chosen` asks for.
augmentation_sequence augmentations_of(const settings& chosen, const augmentation_inputs& inputs);

}  // namespace trainer

template <>
struct feaug::augmentation_traits<trainer::augmentation_sequence> : trainer::sequence_traits {};
