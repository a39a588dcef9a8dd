#include "trainer.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numbers>
#include <utility>

#include "feaug/core/random_permutation.hpp"
#include "feaug/cpu/queue/support_queue.hpp"
#include "image_augmentation.hpp"
#include "matrix_view.hpp"
#include "neighbours.hpp"
#include "network/momentum.hpp"
#include "objectives.hpp"
#include "streams.hpp"
#include "user_error.hpp"

namespace trainer {
namespace {

using network::matrix;

network::state<float> states_of(branch& part, const std::string& name) {
  network::state<float> all;
  part.collect(all, name);
  return all;
}

network::state<float> learned_of(const settings& chosen, branch& online, predictor& h,
                                 network::parameter<float>& prototypes) {
  network::state<float> all = states_of(online, "online");
  if (chosen.has_predictor()) h.collect(all, "predictor");
  if (chosen.method == "swav") all.parameters.emplace_back("prototypes", &prototypes);
  return all;
}

network::parameter<float> prototypes_of(std::uint64_t seed) {
  network::parameter<float> all;
  all.resize(prototype_count, projected_features);
  network::initialise(all.value, projected_features, key_for(seed, 0, stream::weights, 30));
  return all;
}

}  // namespace

fashion_mnist load_images(const settings& chosen) {
  return load_fashion_mnist(
      chosen.data, chosen.train_size,
      chosen.evaluation == "validation" ? evaluation_split::validation : evaluation_split::test);
}

training::training(feaug::cpu_context& ctx, const settings& chosen, const fashion_mnist& data)
    : ctx_(ctx),
      chosen_(chosen),
      data_(data),
      online_(chosen.seed),
      target_(chosen.has_momentum_target() ? std::make_unique<branch>(chosen.seed) : nullptr),
      predictor_(ctx, chosen.seed),
      prototypes_(prototypes_of(chosen.seed)),
      learned_(learned_of(chosen, online_, predictor_, prototypes_)),
      online_state_(states_of(online_, "online")),
      target_state_(target_ ? states_of(*target_, "target") : network::state<float>{}),
      optimiser_(learned_),
      queue_(chosen.queue),
      covariance_(chosen) {}

update_report training::update() {
  learned_.zero_gradients();
  const std::int64_t number = updates_done();
  update_report whole{.loss = 0, .neighbour_accuracy = 0};
  for (std::int64_t part = 0; part < chosen_.accumulate; ++part) {
    const update_report one = train_on(gather(number, part), static_cast<std::uint64_t>(number));
    whole.loss += one.loss;
    whole.neighbour_accuracy += one.neighbour_accuracy / static_cast<double>(chosen_.accumulate);
  }
  optimiser_.step({.learning_rate = learning_rate(number)});
  if (target_) network::follow(target_state_, online_state_, chosen_.momentum);
  if (chosen_.queue > 0) {
    for (std::int64_t part = 0; part < chosen_.accumulate; ++part) {
      const micro_batch batch = gather(number, part);
      const auto rows = static_cast<feaug::index_t>(batch.ids.size());
      feaug::enqueue(ctx_, queue_.view(),
                     view(std::as_const(to_enqueue_[static_cast<std::size_t>(part)])),
                     {.ids = {batch.ids.data(), rows}, .labels = {batch.labels.data(), rows}});
    }
  }
  if (covariance_.is_used()) {
    for (const matrix<float>& features : to_enqueue_) covariance_.update(ctx_, features);
  }
  to_enqueue_.clear();
  losses_.push_back(static_cast<float>(whole.loss));
  neighbour_accuracies_.push_back(static_cast<float>(whole.neighbour_accuracy));
  if (!std::isfinite(whole.loss)) {
    throw user_error("the loss is no longer a number after " + std::to_string(updates_done()) +
                     " updates: try a smaller --learning-rate or a larger --temperature");
  }
  return whole;
}

const std::vector<feaug::index_t>& training::order_of(std::int64_t epoch) {
  if (epoch != epoch_of_order_) {
    order_.resize(static_cast<std::size_t>(chosen_.train_size));
    feaug::draw_permutation(
        key_for(chosen_.seed, static_cast<std::uint64_t>(epoch), stream::epoch_order),
        order_.data(), chosen_.train_size);
    epoch_of_order_ = epoch;
  }
  return order_;
}

training::micro_batch training::gather(std::int64_t update, std::int64_t part) {
  const std::vector<feaug::index_t>& order = order_of(update / updates_an_epoch());
  const std::int64_t rows = chosen_.batch / chosen_.accumulate;
  micro_batch batch{.ids = {},
                    .labels = {},
                    .images = matrix<float>(rows, data_.train.images.cols()),
                    .first_row = part * rows};
  const std::int64_t first = (update % updates_an_epoch()) * chosen_.batch + batch.first_row;
  for (std::int64_t i = 0; i < rows; ++i) {
    const auto id = order[static_cast<std::size_t>(first + i)];
    batch.ids.push_back(id);
    batch.labels.push_back(data_.train.labels[static_cast<std::size_t>(id)]);
    batch.images.row(i) = data_.train.images.row(id);
  }
  return batch;
}

update_report training::train_on(const micro_batch& batch, std::uint64_t step) {
  // Both views pass through the network as one batch: one pass, one set of statistics.
  const view_pair strengths = strengths_of(chosen_.data_augmentation);
  const auto rows = static_cast<network::index>(batch.ids.size());
  matrix<float> views(2 * rows, batch.images.cols());
  for (int v = 0; v < 2; ++v) {
    views.middleRows(v * rows, rows) =
        make_view(ctx_, batch.images, strengths.views[v], chosen_.seed, step, v, batch.first_row);
  }
  matrix<float> online = online_.forward(ctx_, views);
  matrix<float> target = target_ ? target_->forward(ctx_, views) : online;
  matrix<float> gradient(online.rows(), online.cols());
  update_report report;
  report.neighbour_accuracy = neighbour_accuracy(
      ctx_, queue_.view(), view(std::as_const(target)).rows_from(0, rows), batch.ids, batch.labels);
  report.loss = compare(batch, online, gradient, target, step);
  online_.backward(ctx_, gradient);
  // Only the first view enters the queue. Otherwise the second view would always be the nearest
  // neighbour of the first.
  to_enqueue_.emplace_back(target.topRows(rows));
  return report;
}

double training::compare(const micro_batch& batch, matrix<float>& online, matrix<float>& gradient,
                         matrix<float>& target, std::uint64_t step) {
  const auto rows = static_cast<feaug::index_t>(batch.ids.size());
  const auto half = [&](matrix<float>& both, int v) {
    return view(both).rows_from(v * rows, rows);
  };
  feaug::random_key key = key_for(chosen_.seed, step, stream::features);
  key.row_offset = batch.first_row;
  const auto objective = chosen_.is_step() ? step_objective : other_objective;
  return objective(ctx_, chosen_,
                   {.z = {feaug::differentiable(half(online, 0), half(gradient, 0)),
                          feaug::differentiable(half(online, 1), half(gradient, 1))},
                    .target = {half(target, 0), half(target, 1)},
                    .inputs = {.queue = queue_.view(),
                               .ids = batch.ids,
                               .covariance = covariance_.view(),
                               .epoch = updates_done() / updates_an_epoch()},
                    .key = key},
                   {.h = predictor_, .prototypes = prototypes_});
}

/// Linear warm-up over the first twentieth, then cosine decay to zero.
double training::learning_rate(std::int64_t update) const {
  const auto total = static_cast<double>(total_updates());
  const double warm_up = std::max(1.0, total / 20.0);
  const auto at = static_cast<double>(update) + 1.0;
  if (at <= warm_up) return chosen_.learning_rate * at / warm_up;
  return chosen_.learning_rate * 0.5 *
         (1.0 + std::cos(std::numbers::pi * (at - warm_up) / std::max(1.0, total - warm_up)));
}

std::vector<array_view> training::arrays() {
  std::vector<array_view> all;
  const auto add = [&](const std::string& name, auto* data, std::size_t count) {
    all.push_back(
        {.name = name, .data = reinterpret_cast<char*>(data), .bytes = count * sizeof(*data)});
  };
  const auto add_matrix = [&](const std::string& name, matrix<float>& m) {
    add(name, m.data(), static_cast<std::size_t>(m.size()));
  };
  for (const network::state<float>* part : {&learned_, &target_state_}) {
    for (const auto& [name, p] : part->parameters) add_matrix(name, p->value);
    for (const auto& [name, m] : part->buffers) add_matrix(name, *m);
  }
  int number = 0;
  for (matrix<float>* moment : optimiser_.moments())
    add_matrix("moment " + std::to_string(number++), *moment);
  add("optimiser updates", &optimiser_.steps(), 1);
  add("queue rows", queue_.rows.data(), queue_.rows.size());
  add("queue ids", queue_.ids.data(), queue_.ids.size());
  add("queue labels", queue_.labels.data(), queue_.labels.size());
  add("queue cursor", &queue_.cursor, 1);
  add("queue size", &queue_.size, 1);
  if (covariance_.is_used()) {
    add("covariance", covariance_.numbers.data(), covariance_.numbers.size());
    add("covariance rows", &covariance_.count, 1);
  }
  return all;
}

std::string training::checkpoint(const accuracies& before) {
  return checkpoint_bytes({{"settings", to_json(chosen_, true)},
                           {"losses", losses_},
                           {"neighbour_accuracies", neighbour_accuracies_},
                           {"linear_accuracy_before", before.linear},
                           {"knn_accuracy_before", before.knn}},
                          arrays());
}

accuracies training::restore(const std::string& path) {
  const nlohmann::json header = restore_checkpoint(path, to_json(chosen_, true), arrays());
  feaug::rebuild_shadow(ctx_, queue_.view());
  losses_ = header.at("losses").get<std::vector<float>>();
  neighbour_accuracies_ = header.at("neighbour_accuracies").get<std::vector<float>>();
  return {.linear = header.at("linear_accuracy_before").get<double>(),
          .knn = header.at("knn_accuracy_before").get<double>()};
}

}  // namespace trainer
