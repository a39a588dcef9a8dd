// hard_negative_info_nce: the arguments of info_nce, the counts, and given draws.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "feaug/loss/hard_negative_info_nce.hpp"
#include "support/operators/contrastive_losses.hpp"

namespace conformance {

template <class Backend, class T>
class hard_negative_info_nce_loss : public info_nce_loss<Backend, T> {
  using base = info_nce_loss<Backend, T>;

 public:
  using typename base::const_vector;
  using typename base::context;
  using typename base::scalar_type;
  using typename base::vector;

  explicit hard_negative_info_nce_loss(arguments& given) : base(given) {
    const auto count = [&](const std::string& kind) {
      return given.option<feaug::index_t>(kind, 0);
    };
    how_.counts = {.interpolated = count("interpolated"),
                   .extrapolated = count("extrapolated"),
                   .mixed = count("mixed"),
                   .noisy = count("noisy"),
                   .stepped = count("stepped"),
                   .sign_stepped = count("sign_stepped")};
    how_.hardest = count("hardest");
    how_.interpolation_limit = number(given, "interpolation_limit", how_.interpolation_limit);
    how_.extrapolation_limit = number(given, "extrapolation_limit", how_.extrapolation_limit);
    how_.noise_scale = number(given, "noise_scale", how_.noise_scale);
    how_.step = number(given, "step", how_.step);
    how_.sign_step = number(given, "sign_step", how_.sign_step);
    if (how_.counts.total() > 0) first_rank_.emplace(given, "first");
    if (how_.counts.mixed > 0) second_rank_.emplace(given, "second");
    if (how_.counts.weighted() > 0) weights_.emplace(given, "weights");
    if (how_.counts.noisy > 0) noise_.emplace(given, "noise");
    if (given.has("ids")) {
      ids_.emplace(given, "ids");
      exclude_ids_.emplace(given, "exclude_ids");
    }
  }

  void forward(context& ctx, vector loss) {
    feaug::hard_negative_info_nce(ctx, this->queries_.value(), this->keys_.value(), synthesis(),
                                  loss, this->options(), this->fresh_statistics(this->losses()));
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::hard_negative_info_nce_backward(ctx, this->queries_.operand(), this->keys_.operand(),
                                           synthesis(), this->statistics(), cotangent,
                                           this->options());
  }
  void with_gradients(context& ctx, vector loss) {
    feaug::hard_negative_info_nce_with_gradients(
        ctx, this->queries_.operand(), this->keys_.operand(), synthesis(), loss, this->options());
  }

 private:
  static float number(arguments& given, const std::string& name, float otherwise) {
    return static_cast<float>(given.option<double>(name, otherwise));
  }

  feaug::synthetic_negatives<T, Backend::space> synthesis() {
    feaug::synthetic_negatives<T, Backend::space> all = how_;
    if (first_rank_) all.drawn.first = first_rank_->view();
    if (second_rank_) all.drawn.second = second_rank_->view();
    if (weights_) all.drawn.weights = weights_->view();
    if (noise_) all.drawn.noise = noise_->view();
    if (ids_) {
      all.ids = ids_->view();
      all.exclude_ids = exclude_ids_->view();
    }
    return all;
  }

  feaug::synthetic_negatives<T, Backend::space> how_;
  std::optional<number_input<Backend, feaug::index_t, 2>> first_rank_;
  std::optional<number_input<Backend, feaug::index_t, 2>> second_rank_;
  std::optional<number_input<Backend, scalar_type, 2>> weights_;
  std::optional<number_input<Backend, scalar_type, 2>> noise_;
  std::optional<number_input<Backend, std::int64_t, 1>> ids_;
  std::optional<number_input<Backend, std::int64_t, 1>> exclude_ids_;
};

}  // namespace conformance
