// The losses, each by both routes: loss and gradients at once, and forward, then backward from its statistics.
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "cpu_operators.hpp"
#include "feaug/core/reduce.hpp"
#include "feaug/loss/info_nce.hpp"
#include "feaug/loss/negative_cosine.hpp"
#include "feaug/loss/nt_xent.hpp"
#include "feaug/loss/symmetric_info_nce.hpp"
#include "matrix.hpp"

namespace conformance::cpu {
namespace {

using feaug::reduce;
using feaug::vector_view;

reduce reduction_of(arguments& given) {
  return given.choice<reduce>("reduction", "mean", {{"mean", reduce::mean}, {"sum", reduce::sum}, {"none", reduce::none}});
}

/// A temperature that is an input of the case, or else its option.
template <class T>
class temperature {
 public:
  explicit temperature(arguments& given) : stopped_(given.stopped("temperature")) {
    if (given.has("temperature")) value_ = numbers<T>(given.input("temperature", 0));
  }

  feaug::operand<T, 1> operand() {
    if (value_.empty()) return {};
    if (stopped_) return feaug::stop_gradient(feaug::scalar(value_[0]));
    return feaug::differentiable(feaug::scalar(value_[0]), feaug::scalar(gradient_));
  }

  void report(results& out, const std::string& route) {
    if (value_.empty() || stopped_) return;
    out.add("grad_temperature", {}, std::vector<T>{gradient_}, route);
    gradient_ = std::numeric_limits<T>::quiet_NaN();
  }

 private:
  bool stopped_;
  std::vector<T> value_;
  T gradient_ = std::numeric_limits<T>::quiet_NaN();
};

/// The loss's own elements and what a cotangent of them is: 1, or the case's grad_out a row.
template <class T>
struct loss_output {
  std::vector<std::int64_t> shape;
  std::vector<T> values;
  std::vector<T> cotangent = {T{1}};

  loss_output(arguments& given, reduce reduction, index_t rows) {
    if (reduction == reduce::none) {
      shape = {rows};
      cotangent = numbers<T>(given.input("grad_out", 1));
    }
    values.assign(static_cast<std::size_t>(reduction == reduce::none ? rows : 1), std::numeric_limits<T>::quiet_NaN());
  }

  vector_view<T> view() { return {values.data(), static_cast<index_t>(values.size())}; }
  [[nodiscard]] vector_view<const T> cotangent_view() const {
    return {cotangent.data(), static_cast<index_t>(cotangent.size())};
  }
};

constexpr const char* at_once = "with gradients";
constexpr const char* in_turn = "forward, backward";

template <class T>
results info_nce(arguments& given) {
  variable<T> queries(given, "queries");
  variable<T> keys(given, "keys");
  std::vector<variable<T>> negatives;
  if (given.has("negatives")) negatives.emplace_back(given, "negatives");
  temperature<T> tau(given);
  feaug::info_nce_options<T> options{.temperature = given.option<double>("temperature", 0.1),
                                     .reduction = reduction_of(given),
                                     .positive_offset = given.option<std::int64_t>("positive_offset", 0),
                                     .in_batch_negatives = given.option<bool>("in_batch_negatives", true),
                                     .normalize = given.option<bool>("normalize", true)};
  options.learnable_temperature = tau.operand();
  if (!negatives.empty()) options.negatives = negatives[0].operand();
  loss_output<T> loss(given, options.reduction, queries.rows());
  feaug::cpu_context ctx{.threads = 2};
  results all;
  const auto report = [&](const char* route, bool with_loss = true) {
    if (with_loss) all.add("loss", loss.shape, loss.values, route);
    queries.report(all, route);
    keys.report(all, route);
    for (variable<T>& more : negatives) more.report(all, route);
    tau.report(all, route);
    // The destinations were unwritten: the next route gets new ones.
    if (!negatives.empty()) options.negatives = negatives[0].operand();
  };

  std::vector<T> statistics(static_cast<std::size_t>(queries.rows()));
  const vector_view<T> statistics_view(statistics.data(), queries.rows());
  feaug::info_nce(ctx, queries.view(), keys.view(), loss.view(), options, statistics_view);
  feaug::info_nce_backward(ctx, queries.operand(), keys.operand(), statistics_view, loss.cotangent_view(), options);
  report(in_turn);
  if (options.reduction == reduce::none) options.row_weights = loss.cotangent_view();
  feaug::info_nce_with_gradients(ctx, queries.operand(), keys.operand(), loss.view(), options);
  report(at_once, options.reduction != reduce::none);  // its row losses are weighted then
  return all;
}

template <class T>
results symmetric_info_nce(arguments& given) {
  variable<T> queries(given, "queries");
  variable<T> keys(given, "keys");
  feaug::symmetric_info_nce_options<T> options{.temperature = given.option<double>("temperature", 0.1),
                                               .reduction = reduction_of(given)};
  loss_output<T> loss(given, options.reduction, queries.rows());
  std::vector<T> statistics(static_cast<std::size_t>(2 * queries.rows()));
  const vector_view<T> statistics_view(statistics.data(), 2 * queries.rows());
  feaug::cpu_context ctx{.threads = 2};
  results all;
  feaug::symmetric_info_nce(ctx, queries.view(), keys.view(), loss.view(), options, statistics_view);
  feaug::symmetric_info_nce_backward(ctx, queries.operand(), keys.operand(), statistics_view, loss.cotangent_view(), options);
  all.add("loss", loss.shape, loss.values, in_turn);
  queries.report(all, in_turn);
  keys.report(all, in_turn);
  if (options.reduction == reduce::none) return all;
  feaug::symmetric_info_nce_with_gradients(ctx, queries.operand(), keys.operand(), loss.view(), options);
  all.add("loss", loss.shape, loss.values, at_once);
  queries.report(all, at_once);
  keys.report(all, at_once);
  return all;
}

template <class T>
results nt_xent(arguments& given) {
  variable<T> a(given, "a");
  variable<T> b(given, "b");
  feaug::nt_xent_options<T> options{.temperature = given.option<double>("temperature", 0.1),
                                    .reduction = reduction_of(given),
                                    .decoupled = given.option<bool>("decoupled", false)};
  loss_output<T> loss(given, options.reduction, 2 * a.rows());
  std::vector<T> statistics(static_cast<std::size_t>(2 * a.rows()));
  const vector_view<T> statistics_view(statistics.data(), 2 * a.rows());
  feaug::cpu_context ctx{.threads = 2};
  results all;
  feaug::nt_xent(ctx, a.view(), b.view(), loss.view(), options, statistics_view);
  feaug::nt_xent_backward(ctx, a.operand(), b.operand(), statistics_view, loss.cotangent_view(), options);
  all.add("loss", loss.shape, loss.values, in_turn);
  a.report(all, in_turn);
  b.report(all, in_turn);
  if (options.reduction == reduce::none) return all;
  feaug::nt_xent_with_gradients(ctx, a.operand(), b.operand(), loss.view(), options);
  all.add("loss", loss.shape, loss.values, at_once);
  a.report(all, at_once);
  b.report(all, at_once);
  return all;
}

template <class T>
results negative_cosine(arguments& given) {
  variable<T> prediction(given, "prediction");
  variable<T> target(given, "target");
  feaug::negative_cosine_options<T> options{
      .form = given.choice<feaug::cosine_form>(
          "form", "byol", {{"byol", feaug::cosine_form::byol}, {"simsiam", feaug::cosine_form::simsiam}}),
      .reduction = reduction_of(given)};
  loss_output<T> loss(given, options.reduction, prediction.rows());
  feaug::cpu_context ctx{.threads = 2};
  results all;
  feaug::negative_cosine(ctx, prediction.view(), target.view(), loss.view(), options);
  feaug::negative_cosine_backward(ctx, prediction.operand(), target.operand(), loss.cotangent_view(), options);
  all.add("loss", loss.shape, loss.values, in_turn);
  prediction.report(all, in_turn);
  target.report(all, in_turn);
  if (options.reduction == reduce::none) return all;
  feaug::negative_cosine_with_gradients(ctx, prediction.operand(), target.operand(), loss.view(), options);
  all.add("loss", loss.shape, loss.values, at_once);
  prediction.report(all, at_once);
  target.report(all, at_once);
  return all;
}

}  // namespace

template <class T>
void add_losses(registry& operators) {
  operators["info_nce"] = info_nce<T>;
  operators["symmetric_info_nce"] = symmetric_info_nce<T>;
  operators["nt_xent"] = nt_xent<T>;
  operators["negative_cosine"] = negative_cosine<T>;
}

template void add_losses<double>(registry&);
template void add_losses<float>(registry&);

}  // namespace conformance::cpu
