// Kernels of every augmentation, for all element types.
#include "kernels.cuh"

namespace {

using namespace feaug;

struct user_policy {
  static constexpr std::string_view name = "user_policy";
  using draw = normal_draw;
  template <class C>
  FEAUG_HD C forward(C x, draw d) const {
    return x * static_cast<C>(d.value);
  }
  template <class C>
  FEAUG_HD C backward(C g, C /*x*/, draw d) const {
    return g * static_cast<C>(d.value);
  }
};

template <class T, class P>
void both(cuda_context& ctx, const kernels::views<T>& v, const P& policy) {
  augment(ctx, policy, v.input, random_key{}, v.output);
  augment_backward(ctx, policy, v.differentiable(), random_key{}, v.input);
}

template <class T>
void all(cuda_context& ctx, const kernels::views<T>& v) {
  l2_normalize(ctx, v.input, v.output);
  l2_normalize_backward(ctx, v.differentiable(), v.input);
  both(ctx, v, identity{});
  both(ctx, v, user_policy{});
  both(ctx, v, mask{});
  both(ctx, v, fixed_count_mask{});
  both(ctx, v, block_mask{});
  both(ctx, v, mask_from(v.input));
  both(ctx, v, gaussian_noise{});
  both(ctx, v, uniform_noise{});
  both(ctx, v, noise_from(v.input, 0.1F));
  both(ctx, v, interpolate{});
  both(ctx, v, extrapolate{});
  both(ctx, v, slerp{});
  both(ctx, v, exchange_moments{});
  both(ctx, v, with_partner(interpolate{}, v.differentiable()));
  both(ctx, v, with_partner(slerp{}, v.differentiable()));
  both(ctx, v, with_partner(exchange_moments{}, v.differentiable()));
  both(ctx, v, neighbour_from(v.queue));
  both(ctx, v, neighbour_from(v.queue, median_neighbour{}));
  both(ctx, v, neighbour_from(v.queue, mutual_neighbour_of<random_neighbour>{}));
  both(ctx, v, with_noise(neighbour_from(v.queue, pseudo_neighbour{}), v.input));
  both(ctx, v, soft_neighbour_from(v.queue));
  both(ctx, v, compose(mask{}, gaussian_noise{}));
  both(ctx, v, one_of({0.5F, 0.5F}, mask{}, interpolate{}));
  both(ctx, v, std::variant<mask, gaussian_noise>(mask{}));
  const device_running_covariance covariance;
  const device_running_variance variance;
  update_covariance(ctx, covariance, v.input);
  update_covariance(ctx, variance, v.input);
  both(ctx, v, covariance_noise(covariance));
  both(ctx, v, covariance_noise(variance));
  both(ctx, v, with_log_variance(latent_noise{}, v.differentiable()));
  both(ctx, v, with_log_variance(latent_noise{}, v.differentiable(), v.input));
  adversarial_step(ctx, v.input, v.input, v.input, {}, v.output);
  adversarial_backward(ctx, v.differentiable(), v.input);
  draw(ctx, covariance_noise(covariance), random_key{}, v.output);
  draw(ctx, covariance_noise(variance), random_key{}, v.output);
  draw(ctx, mask{}, random_key{}, v.output);
  draw(ctx, gaussian_noise{}, random_key{}, v.output);
  draw(ctx, random_neighbour{}, random_key{}, device_vector<float>{});
}

}  // namespace

void kernels::compile_augmentations(cuda_context& ctx) {
  for_each_type(ctx, [](auto& c, const auto& v) { all(c, v); });
}
