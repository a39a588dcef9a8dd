#include "sweep.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <vector>

#include "dataset.hpp"
#include "evaluation.hpp"
#include "feaug/cpu/core/context.hpp"
#include "sweep_results.hpp"
#include "sweep_table.hpp"
#include "trainer.hpp"

namespace trainer {
namespace {

using clock = std::chrono::steady_clock;

double seconds_since(clock::time_point begin) {
  return std::chrono::duration<double>(clock::now() - begin).count();
}

/// The mean loss of the last `count` updates; 0 if there are none.
double last_mean(const std::vector<float>& losses, std::int64_t count) {
  if (losses.empty()) return 0;
  return std::accumulate(losses.end() - count, losses.end(), 0.0) / static_cast<double>(count);
}

/// For each epoch of `count` updates the mean over those with rows in the queue; −1 if there are
/// none.
std::vector<double> by_epoch(const std::vector<float>& neighbour_accuracies, std::int64_t count) {
  std::vector<double> means;
  for (auto first = neighbour_accuracies.begin(); first != neighbour_accuracies.end();
       first += count) {
    const double sum = std::accumulate(first, first + count, 0.0, [](double so_far, float one) {
      return so_far + std::max(0.0, static_cast<double>(one));
    });
    const auto known = std::count_if(first, first + count, [](float one) { return one >= 0; });
    means.push_back(known > 0 ? sum / static_cast<double>(known) : -1.0);
  }
  return means;
}

/// Computes once what several runs share: the images, and the accuracy of an untrained encoder.
class runner {
 public:
  run_result run(const settings& chosen) {
    const auto begin = clock::now();
    feaug::cpu_context ctx{.threads = chosen.threads};
    load(chosen);
    training training(ctx, chosen, data_);
    run_result result{.settings = to_json(chosen, true)};
    result.before = untrained(ctx, chosen.seed, training);
    while (training.updates_done() < training.total_updates()) training.update();
    result.after = evaluate(ctx, training.encoder(), data_);
    result.loss = last_mean(training.losses(), training.updates_an_epoch());
    result.neighbour_accuracy =
        by_epoch(training.neighbour_accuracies(), training.updates_an_epoch());
    result.seconds = seconds_since(begin);
    return result;
  }

 private:
  void load(const settings& chosen) {
    if (chosen.data == loaded_.data && chosen.train_size == loaded_.train_size &&
        chosen.evaluation == loaded_.evaluation && data_.train.images.rows() > 0)
      return;
    data_ = load_images(chosen);
    loaded_ = chosen;
    untrained_.clear();
  }

  accuracies untrained(feaug::cpu_context& ctx, std::uint64_t seed, training& of) {
    const auto known = untrained_.find(seed);
    if (known != untrained_.end()) return known->second;
    return untrained_[seed] = evaluate(ctx, of.encoder(), data_);
  }

  fashion_mnist data_;
  settings loaded_;
  std::map<std::uint64_t, accuracies> untrained_;  // by seed
};

std::string words_of(const nlohmann::json& settings, const std::vector<std::string>& varied) {
  std::string words;
  for (const std::string& name : varied)
    words += "--" + name + " " + value_text(settings.at(name)) + " ";
  return words + "--seed " + value_text(settings.at("seed"));
}

}  // namespace

void run_sweep(const sweep_lists& sweep) {
  sweep_results results(sweep.file);
  for (const std::string& why : sweep.left_out) std::cerr << "left out: " << why << "\n";

  std::vector<nlohmann::json> wanted;
  wanted.reserve(sweep.runs.size());
  for (const settings& run : sweep.runs) wanted.push_back(to_json(run, true));
  std::vector<const nlohmann::json*> pointers;
  pointers.reserve(wanted.size());
  for (const nlohmann::json& one : wanted) pointers.push_back(&one);
  const std::vector<std::string> varied = varied_options(pointers, sweep.names);

  runner runs;
  std::size_t left = 0;
  for (const nlohmann::json& one : wanted) left += results.find(one) == nullptr ? 1U : 0U;
  std::cerr << sweep.runs.size() - left << " of " << sweep.runs.size() << " runs are in "
            << sweep.file << std::endl;
  const auto begin = clock::now();
  double done = 0;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (results.find(wanted[i]) != nullptr) continue;
    const run_result result = runs.run(sweep.runs[i]);
    results.append(result);
    done += 1;
    left -= 1;
    char numbers[128];
    std::snprintf(numbers, sizeof(numbers), "linear probe %.2f %%, %.0f s; %zu left, %.0f min",
                  100 * result.after.linear, result.seconds, left,
                  seconds_since(begin) / done * static_cast<double>(left) / 60);
    std::cerr << words_of(result.settings, varied) << ": " << numbers << std::endl;
  }

  std::vector<const run_result*> all;
  all.reserve(wanted.size());
  for (const nlohmann::json& one : wanted) all.push_back(results.find(one));
  std::cout << sweep_table(all, sweep.names);
}

}  // namespace trainer
