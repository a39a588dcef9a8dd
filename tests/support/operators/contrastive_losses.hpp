// Losses with softmax statistics over cosines: info_nce, symmetric_info_nce, nt_xent,
// supervised_contrastive.
#pragma once

#include <string>

#include "feaug/loss/info_nce.hpp"
#include "feaug/loss/nt_xent.hpp"
#include "feaug/loss/supervised_contrastive.hpp"
#include "feaug/loss/symmetric_info_nce.hpp"
#include "support/operators/loss_adapter.hpp"

namespace conformance {

/// A loss of two matrices, with `per_row` statistics for each row.
template <class Backend, class T, class Options, class Verbs, feaug::index_t per_row>
class contrastive_loss : public loss_adapter<Backend, T, Options> {
  using base = loss_adapter<Backend, T, Options>;

 public:
  using typename base::const_vector;
  using typename base::context;
  using typename base::vector;

  contrastive_loss(arguments& given, const std::string& first, const std::string& second)
      : base(given), first_(base::operand(given, first)), second_(base::operand(given, second)) {}

  void forward(context& ctx, vector loss) {
    Verbs::forward(ctx, first_.value(), second_.value(), loss, this->options(),
                   this->fresh_statistics(per_row * first_.input().shape[0]));
  }
  void backward(context& ctx, const_vector cotangent) {
    Verbs::backward(ctx, first_.operand(), second_.operand(), this->statistics(), cotangent,
                    this->options());
  }
  void with_gradients(context& ctx, vector loss) {
    Verbs::at_once(ctx, first_.operand(), second_.operand(), loss, this->options());
  }

 private:
  operand_input<Backend, T>& first_;
  operand_input<Backend, T>& second_;
};

FEAUG_TEST_LOSS_VERBS(symmetric_info_nce);
FEAUG_TEST_LOSS_VERBS(nt_xent);

template <class Backend, class T>
struct symmetric_info_nce_loss
    : contrastive_loss<Backend, T, feaug::symmetric_info_nce_options<T, Backend::space>,
                       symmetric_info_nce_verbs, 2> {
  explicit symmetric_info_nce_loss(arguments& given)
      : symmetric_info_nce_loss::contrastive_loss(given, "queries", "keys") {}
};

template <class Backend, class T>
struct nt_xent_loss
    : contrastive_loss<Backend, T, feaug::nt_xent_options<T, Backend::space>, nt_xent_verbs, 2> {
  explicit nt_xent_loss(arguments& given) : nt_xent_loss::contrastive_loss(given, "a", "b") {
    this->options_.decoupled = given.option("decoupled", false);
    this->options_.positive_weighting = given.option("positive_weighting", 0.0);
  }
  [[nodiscard]] feaug::index_t losses() const {
    return 2 * nt_xent_loss::contrastive_loss::losses();
  }
};

template <class Backend, class T>
class info_nce_loss : public loss_adapter<Backend, T, feaug::info_nce_options<T, Backend::space>> {
  using base = loss_adapter<Backend, T, feaug::info_nce_options<T, Backend::space>>;

 public:
  using typename base::const_vector;
  using typename base::context;
  using typename base::vector;

  explicit info_nce_loss(arguments& given)
      : base(given),
        queries_(base::operand(given, "queries")),
        keys_(base::operand(given, "keys")),
        negatives_(given.has("negatives") ? &base::operand(given, "negatives") : nullptr) {
    this->options_.positive_offset = given.option<feaug::index_t>("positive_offset", 0);
    this->options_.in_batch_negatives = given.option("in_batch_negatives", true);
  }

  void forward(context& ctx, vector loss) {
    feaug::info_nce(ctx, queries_.value(), keys_.value(), loss, options(),
                    this->fresh_statistics(this->losses()));
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::info_nce_backward(ctx, queries_.operand(), keys_.operand(), this->statistics(),
                             cotangent, options());
  }
  void with_gradients(context& ctx, vector loss) {
    feaug::info_nce_with_gradients(ctx, queries_.operand(), keys_.operand(), loss, options());
  }

 protected:
  feaug::info_nce_options<T, Backend::space> options() {
    auto all = base::options();
    if (negatives_ != nullptr) all.negatives = negatives_->operand();
    return all;
  }

  operand_input<Backend, T>& queries_;
  operand_input<Backend, T>& keys_;

 private:
  operand_input<Backend, T>* negatives_;
};

template <class Backend, class T>
class supervised_contrastive_loss
    : public loss_adapter<Backend, T, feaug::supervised_contrastive_options<T, Backend::space>> {
  using base = loss_adapter<Backend, T, feaug::supervised_contrastive_options<T, Backend::space>>;

 public:
  using typename base::const_vector;
  using typename base::context;
  using typename base::vector;

  explicit supervised_contrastive_loss(arguments& given)
      : base(given), z_(base::operand(given, "z")), labels_(given, "labels") {}

  void forward(context& ctx, vector loss) {
    feaug::supervised_contrastive(ctx, z_.value(), labels_.view(), loss, this->options(),
                                  this->fresh_statistics(this->losses()));
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::supervised_contrastive_backward(ctx, z_.operand(), labels_.view(), this->statistics(),
                                           cotangent, this->options());
  }
  void with_gradients(context& ctx, vector loss) {
    feaug::supervised_contrastive_with_gradients(ctx, z_.operand(), labels_.view(), loss,
                                                 this->options());
  }

 private:
  operand_input<Backend, T>& z_;
  number_input<Backend, feaug::index_t, 1> labels_;
};

}  // namespace conformance
