// train_fashion_mnist: see README.md in the parent folder, or --help.
#include <csignal>
#include <exception>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "dataset.hpp"
#include "evaluation.hpp"
#include "features.hpp"
#include "feaug/cpu/core/context.hpp"
#include "files.hpp"
#include "plots.hpp"
#include "progress.hpp"
#include "settings.hpp"
#include "sweep.hpp"
#include "trainer.hpp"
#include "user_error.hpp"

namespace {

volatile std::sig_atomic_t interrupted = 0;
void note_interrupt(int /*signal*/) { interrupted = 1; }

constexpr int exit_bad_input = 2;
constexpr int exit_interrupted = 130;

void print(const char* when, const trainer::accuracies& of) {
  std::cout << when << ": linear probe " << 100 * of.linear << " %, 20 nearest neighbours "
            << 100 * of.knn << " %" << std::endl;
}

void write_results(const trainer::settings& chosen, const trainer::training& run,
                   const trainer::accuracies& before, const trainer::accuracies& after) {
  const nlohmann::json results = {{"settings", trainer::to_json(chosen, false)},
                                  {"loss_curve", run.losses()},
                                  {"neighbour_accuracy_curve", run.neighbour_accuracies()},
                                  {"linear_accuracy_before", before.linear},
                                  {"linear_accuracy_after", after.linear},
                                  {"knn_accuracy_before", before.knn},
                                  {"knn_accuracy_after", after.knn}};
  trainer::write_atomically(chosen.json, results.dump(2) + "\n");
}

int run(int count, char** words) {
  const trainer::settings chosen = trainer::read_settings(count, words);
  for (const std::string& path : {chosen.json, chosen.checkpoint}) {
    if (!path.empty()) trainer::require_writable(path);
  }
  const trainer::fashion_mnist data = trainer::load_images(chosen);
  feaug::cpu_context ctx{.threads = chosen.threads};
  trainer::training training(ctx, chosen, data);
  trainer::accuracies before;
  if (chosen.resume.empty()) {
    before = trainer::evaluate(ctx, training.encoder(), data);
  } else {
    before = training.restore(chosen.resume);
  }
  // Folders are made only when nothing else can be refused.
  if (!chosen.plots.empty()) trainer::require_plots(chosen.plots);
  if (!chosen.features.empty()) trainer::require_features(chosen.features);
  print("untrained", before);

  std::signal(SIGINT, note_interrupt);
  const auto save = [&] {
    if (!chosen.checkpoint.empty())
      trainer::write_atomically(chosen.checkpoint, training.checkpoint(before));
  };
  trainer::progress progress(training.total_updates(), training.updates_done(), chosen.batch,
                             training.updates_an_epoch());
  while (training.updates_done() < training.total_updates()) {
    const trainer::update_report report = training.update();
    progress.update(training.updates_done(), report.loss, report.neighbour_accuracy);
    if (interrupted != 0) {
      progress.finish();
      save();
      std::cerr << "interrupted after " << training.updates_done() << " of "
                << training.total_updates() << " updates"
                << (chosen.checkpoint.empty() ? "" : "; --resume " + chosen.checkpoint + " goes on")
                << std::endl;
      return exit_interrupted;
    }
    if (training.updates_done() % training.updates_an_epoch() == 0) save();
  }
  progress.finish();
  const trainer::accuracies after = trainer::evaluate(ctx, training.encoder(), data);
  print("trained", after);
  if (!chosen.json.empty()) write_results(chosen, training, before, after);
  if (!chosen.features.empty())
    trainer::write_features(ctx, chosen.features, training.encoder(), data);
  if (!chosen.plots.empty()) trainer::write_plots(ctx, chosen.plots, training, data);
  return 0;
}

}  // namespace

int main(int count, char** words) {
  try {
    if (!trainer::is_sweep(count, words)) return run(count, words);
    trainer::run_sweep(trainer::read_sweep(count, words));
    return 0;
  } catch (const trainer::user_error& problem) {
    std::cerr << "train_fashion_mnist: " << problem.what() << std::endl;
    return exit_bad_input;
  } catch (const std::exception& problem) {
    std::cerr << "train_fashion_mnist: failed: " << problem.what() << std::endl;
    return 1;
  }
}
