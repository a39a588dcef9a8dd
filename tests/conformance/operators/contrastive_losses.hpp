// The losses with a soft-max over cosines, as run_loss wants them.
#pragma once

#include <optional>
#include <string>

#include "feaug/loss/info_nce.hpp"
#include "feaug/loss/nt_xent.hpp"
#include "feaug/loss/symmetric_info_nce.hpp"
#include "operators/contrastive_loss.hpp"

namespace conformance {

template <class Backend, class T>
class info_nce_loss
    : public contrastive_loss<Backend, T, feaug::info_nce_options<T, Backend::space>> {
  using base = contrastive_loss<Backend, T, feaug::info_nce_options<T, Backend::space>>;

 public:
  using typename base::const_vector;
  using typename base::context;
  using typename base::vector;

  explicit info_nce_loss(arguments& given) : base(given, "queries", "keys") {
    this->options_.positive_offset = given.option<feaug::index_t>("positive_offset", 0);
    this->options_.in_batch_negatives = given.option("in_batch_negatives", true);
    if (given.has("negatives")) negatives_.emplace(given, "negatives");
  }

  [[nodiscard]] feaug::index_t losses() const { return this->rows(); }
  [[nodiscard]] bool wants_gradient() const {
    return base::wants_gradient() || (negatives_ && negatives_->wants_gradient());
  }
  void forget_gradients() {
    base::forget_gradients();
    if (negatives_) negatives_->forget_gradient();
  }
  void add_gradients(results& got, const std::string& route) const {
    base::add_gradients(got, route);
    if (negatives_) negatives_->add_gradient(got, route);
  }

  void forward(context& ctx, vector loss) {
    feaug::info_nce(ctx, this->first_.value(), this->second_.value(), loss, with_negatives(),
                    this->fresh_statistics(losses()));
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::info_nce_backward(ctx, this->first_.operand(), this->second_.operand(),
                             this->statistics(losses()), cotangent, with_negatives());
  }
  void with_gradients(context& ctx, vector loss, const_vector row_weights) {
    feaug::info_nce_with_gradients(ctx, this->first_.operand(), this->second_.operand(), loss,
                                   with_negatives(row_weights));
  }

 protected:
  feaug::info_nce_options<T, Backend::space> with_negatives(const const_vector& row_weights = {}) {
    feaug::info_nce_options<T, Backend::space> all = this->options(row_weights);
    if (negatives_) all.negatives = negatives_->operand();
    return all;
  }

 private:
  std::optional<operand_input<Backend, T>> negatives_;
};

template <class Backend, class T>
class symmetric_info_nce_loss
    : public contrastive_loss<Backend, T, feaug::symmetric_info_nce_options<T, Backend::space>> {
  using base = contrastive_loss<Backend, T, feaug::symmetric_info_nce_options<T, Backend::space>>;

 public:
  using typename base::const_vector;
  using typename base::context;
  using typename base::vector;

  explicit symmetric_info_nce_loss(arguments& given) : base(given, "queries", "keys") {}

  [[nodiscard]] feaug::index_t losses() const { return this->rows(); }

  void forward(context& ctx, vector loss) {
    feaug::symmetric_info_nce(ctx, this->first_.value(), this->second_.value(), loss,
                              this->options(), this->fresh_statistics(2 * losses()));
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::symmetric_info_nce_backward(ctx, this->first_.operand(), this->second_.operand(),
                                       this->statistics(2 * losses()), cotangent, this->options());
  }
  void with_gradients(context& ctx, vector loss, const_vector row_weights) {
    feaug::symmetric_info_nce_with_gradients(ctx, this->first_.operand(), this->second_.operand(),
                                             loss, this->options(row_weights));
  }
};

template <class Backend, class T>
class nt_xent_loss
    : public contrastive_loss<Backend, T, feaug::nt_xent_options<T, Backend::space>> {
  using base = contrastive_loss<Backend, T, feaug::nt_xent_options<T, Backend::space>>;

 public:
  using typename base::const_vector;
  using typename base::context;
  using typename base::vector;

  explicit nt_xent_loss(arguments& given) : base(given, "a", "b") {
    this->options_.decoupled = given.option("decoupled", false);
    this->options_.positive_weighting = given.option("positive_weighting", 0.0);
  }

  [[nodiscard]] feaug::index_t losses() const { return 2 * this->rows(); }

  void forward(context& ctx, vector loss) {
    feaug::nt_xent(ctx, this->first_.value(), this->second_.value(), loss, this->options(),
                   this->fresh_statistics(losses()));
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::nt_xent_backward(ctx, this->first_.operand(), this->second_.operand(),
                            this->statistics(losses()), cotangent, this->options());
  }
  void with_gradients(context& ctx, vector loss, const_vector row_weights) {
    feaug::nt_xent_with_gradients(ctx, this->first_.operand(), this->second_.operand(), loss,
                                  this->options(row_weights));
  }
};

}  // namespace conformance
