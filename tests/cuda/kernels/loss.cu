// Kernels of the losses, for all element types.
#include <type_traits>

#include "kernels.cuh"

void kernels::compile_losses(feaug::cuda_context& ctx) {
  for_each_type(ctx, [](auto& c, const auto& v) {
    const auto x = v.differentiable();
    feaug::info_nce(c, v.input, v.input, v.loss);
    feaug::info_nce_backward(c, x, x, v.numbers, v.numbers);
    feaug::info_nce_with_gradients(c, x, x, v.loss);
    feaug::hard_negative_info_nce(c, v.input, v.input, {}, v.loss);
    feaug::hard_negative_info_nce_backward(c, x, x, {}, v.numbers, v.numbers);
    feaug::hard_negative_info_nce_with_gradients(c, x, x, {}, v.loss);
    feaug::draw(c, v.synthesis, {}, {}, {}, {});
    feaug::symmetric_info_nce(c, v.input, v.input, v.loss);
    feaug::symmetric_info_nce_backward(c, x, x, v.numbers, v.numbers);
    feaug::symmetric_info_nce_with_gradients(c, x, x, v.loss);
    feaug::nt_xent(c, v.input, v.input, v.loss);
    feaug::nt_xent_backward(c, x, x, v.numbers, v.numbers);
    feaug::nt_xent_with_gradients(c, x, x, v.loss);
    feaug::sigmoid(c, v.input, v.input, v.loss);
    feaug::sigmoid_backward(c, x, x, v.numbers);
    feaug::sigmoid_with_gradients(c, x, x, v.loss);
    const feaug::device_vector<const feaug::index_t> labels;
    feaug::supervised_contrastive(c, v.input, labels, v.loss);
    feaug::supervised_contrastive_backward(c, x, labels, v.numbers, v.numbers);
    feaug::supervised_contrastive_with_gradients(c, x, labels, v.loss);
    using T = std::remove_const_t<std::remove_pointer_t<decltype(v.input.data)>>;
    const feaug::device_assignment_target<T> target = {.scores = v.input};
    feaug::sinkhorn(c, v.input, v.output);
    feaug::sinkhorn_potentials(c, v.input, {});
    feaug::assignment_loss(c, v.input, target, v.loss);
    feaug::assignment_loss_backward(c, x, target, v.numbers);
    feaug::assignment_loss_with_gradients(c, x, target, v.loss);
    feaug::swapped_assignment(c, v.input, v.input, v.loss);
    feaug::swapped_assignment_backward(c, x, x, {}, v.numbers);
    feaug::swapped_assignment_with_gradients(c, x, x, v.loss);
    feaug::kl_to_standard_normal(c, v.input, v.input, v.loss);
    feaug::kl_to_standard_normal_backward(c, x, x, v.numbers);
    feaug::kl_to_standard_normal_with_gradients(c, x, x, v.loss);
    feaug::barlow_twins(c, v.input, v.input, v.loss);
    feaug::barlow_twins_backward(c, x, x, v.numbers);
    feaug::barlow_twins_with_gradients(c, x, x, v.loss);
    feaug::vicreg(c, v.input, v.input, v.loss);
    feaug::vicreg_backward(c, x, x, v.numbers);
    feaug::vicreg_with_gradients(c, x, x, v.loss);
    feaug::hypersphere(c, v.input, v.input, v.loss);
    feaug::hypersphere_backward(c, x, x, v.numbers);
    feaug::hypersphere_with_gradients(c, x, x, v.loss);
    feaug::mean_shift(c, v.input, v.input, v.queue, v.loss);
    feaug::mean_shift_backward(c, x, v.input, {}, v.numbers);
    feaug::mean_shift_with_gradients(c, x, v.input, v.queue, v.loss);
    feaug::relation_distillation(c, v.input, v.input, v.queue, v.loss);
    feaug::relation_distillation_backward(c, x, v.input, v.queue, v.numbers);
    feaug::relation_distillation_with_gradients(c, x, v.input, v.input, v.loss);
    feaug::soft_neighbour_contrast(c, v.input, v.input, v.input, v.loss);
    feaug::soft_neighbour_contrast_backward(c, x, v.input, v.input, v.numbers);
    feaug::soft_neighbour_contrast_with_gradients(c, x, v.input, v.input, v.loss);
    const auto masked_by = [&](const auto& policy) {
      feaug::masked_prediction(c, v.input, v.input, policy, {}, v.loss);
      feaug::masked_prediction_backward(c, x, x, policy, {}, v.numbers);
      feaug::masked_prediction_with_gradients(c, x, x, policy, {}, v.loss);
    };
    masked_by(feaug::mask{});
    masked_by(feaug::fixed_count_mask{});
    masked_by(feaug::block_mask{});
    masked_by(feaug::mask_from(v.input));
    feaug::negative_cosine(c, v.input, v.input, v.loss);
    feaug::negative_cosine_backward(c, x, x, v.numbers);
    feaug::negative_cosine_with_gradients(c, x, x, v.loss);
  });
}
