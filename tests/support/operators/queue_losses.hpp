// Losses that search a queue: mean_shift, relation_distillation. Their third function can search
// the rows of a matrix instead, if these equal the queue's rows. The option `swapped`, if given,
// selects this: the third function searches the matrix (false), or the other two do (true).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "feaug/loss/mean_shift.hpp"
#include "feaug/loss/relation_distillation.hpp"
#include "support/operators/loss_adapter.hpp"
#include "support/operators/queue_memory.hpp"

namespace conformance {

template <class Backend, class T, class Options>
class queue_loss : public loss_adapter<Backend, T, Options> {
  using base = loss_adapter<Backend, T, Options>;

 public:
  queue_loss(arguments& given, const std::string& first, const std::string& second)
      : base(given),
        first_(base::operand(given, first)),
        second_(base::constant(given, second)),
        support_(base::constant(given, "support")),
        queue_(support_.input(), given.option("filled", support_.input().shape[0])),
        swapped_(given.option("swapped", false)) {
    const bool is_full =
        given.option("filled", support_.input().shape[0]) == support_.input().shape[0];
    third_in_queue_ = given.has_option("swapped") ? swapped_ : given.has("ids") || !is_full;
    given.place("queue.storage", queue_.view().storage.data);
    if (!given.has("ids")) return;
    ids_.emplace(given, "ids");
    exclude_ids_.emplace(given, "exclude_ids");
    this->options_.exclude_ids = exclude_ids_->view();
  }

 protected:
  /// The support of the first two functions.
  auto support() { return rows(!swapped_); }
  /// Calls verb(support, options) with the support of the third function.
  template <class Verb>
  void at_once(const Verb& verb) {
    Options options = this->options();
    if (!third_in_queue_) options.exclude_ids = {};
    verb(rows(third_in_queue_), options);
  }

  operand_input<Backend, T>& first_;
  operand_input<Backend, T>& second_;

 private:
  feaug::support_rows<T, Backend::space> rows(bool of_queue) {
    if (!of_queue) return support_.value();
    auto all = queue_.view();
    if (ids_) all.ids = ids_->view();
    return all;
  }

  operand_input<Backend, T>& support_;
  queue_memory<Backend, T> queue_;
  bool swapped_;  ///< the first two functions search the matrix
  bool third_in_queue_;
  std::optional<number_input<Backend, std::int64_t, 1>> ids_;
  std::optional<number_input<Backend, std::int64_t, 1>> exclude_ids_;
};

/// Its statistics are the slots that it found.
template <class Backend, class T>
class mean_shift_loss
    : public queue_loss<Backend, T, feaug::mean_shift_options<T, Backend::space>> {
  using base = queue_loss<Backend, T, feaug::mean_shift_options<T, Backend::space>>;

 public:
  using typename base::const_vector;
  using typename base::context;
  using typename base::vector;

  explicit mean_shift_loss(arguments& given)
      : base(given, "prediction", "targets"),
        k_(given.option<feaug::index_t>("k", 5)),
        slots_(unwritten_indices(element_count({this->losses(), k_})), given.misplaced("indices")) {
    this->options_.k = k_;
  }

  void forward(context& ctx, vector loss) {
    feaug::mean_shift(ctx, this->first_.value(), this->second_.value(), this->support(), loss,
                      this->options(), slots());
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::mean_shift_backward(ctx, this->first_.operand(), this->support(), slots(), cotangent,
                               this->options());
  }
  void with_gradients(context& ctx, vector loss) {
    this->at_once([&](const auto& support, const auto& options) {
      feaug::mean_shift_with_gradients(ctx, this->first_.operand(), this->second_.value(), support,
                                       loss, options);
    });
  }
  void add_statistics(results& got) const {
    got.add("slots", {this->losses(), k_}, slots_.to_host());
  }

 private:
  feaug::matrix_view<feaug::index_t, Backend::space> slots() {
    return this->given_.passed("indices", feaug::matrix_view<feaug::index_t, Backend::space>(
                                              slots_.data(), this->losses(), k_));
  }

  feaug::index_t k_;
  placed_array<Backend, feaug::index_t> slots_;
};

template <class Backend, class T>
class relation_distillation_loss
    : public queue_loss<Backend, T, feaug::relation_distillation_options<T, Backend::space>> {
  using base = queue_loss<Backend, T, feaug::relation_distillation_options<T, Backend::space>>;

 public:
  using typename base::const_vector;
  using typename base::context;
  using typename base::vector;

  explicit relation_distillation_loss(arguments& given) : base(given, "queries", "keys") {
    this->options_.teacher_temperature =
        given.option("teacher_temperature", this->options_.teacher_temperature);
  }

  void forward(context& ctx, vector loss) {
    feaug::relation_distillation(ctx, this->first_.value(), this->second_.value(), this->support(),
                                 loss, this->options());
  }
  void backward(context& ctx, const_vector cotangent) {
    feaug::relation_distillation_backward(ctx, this->first_.operand(), this->second_.value(),
                                          this->support(), cotangent, this->options());
  }
  void with_gradients(context& ctx, vector loss) {
    this->at_once([&](const auto& support, const auto& options) {
      feaug::relation_distillation_with_gradients(ctx, this->first_.operand(),
                                                  this->second_.value(), support, loss, options);
    });
  }
};

}  // namespace conformance
