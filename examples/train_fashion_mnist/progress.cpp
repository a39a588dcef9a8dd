#include "progress.hpp"

#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <string>

#ifdef FEAUG_EXAMPLE_HAS_BARKEEP
#include <barkeep/barkeep.h>
#endif

namespace trainer {
namespace {

std::string formatted(const char* format, double number) {
  char text[64];
  std::snprintf(text, sizeof(text), format, number);
  return text;
}

std::string minutes(double seconds) {
  const long whole = std::lround(seconds);
  return std::to_string(whole / 60) + (whole % 60 < 10 ? ":0" : ":") + std::to_string(whole % 60);
}

}  // namespace

/// One line per epoch; with a terminal and barkeep, a progress bar instead.
class progress::display {
 public:
  display(std::int64_t total, std::int64_t done, std::int64_t images, std::int64_t updates_an_epoch)
      : total_(total),
        first_(done),
        images_(images),
        updates_an_epoch_(updates_an_epoch),
        done_(done) {
#ifdef FEAUG_EXAMPLE_HAS_BARKEEP
    if (isatty(STDERR_FILENO) != 0 && total > done) {
      namespace bk = barkeep;
      status_ = bk::Status({.out = &std::cerr, .message = "training", .show = false});
      bar_ = bk::ProgressBar(&done_,
                             {.out = &std::cerr, .total = total, .interval = 0.2, .show = false});
      both_ = bk::Composite({bar_, status_}, " ");
      both_->show();
    }
#endif
  }

  void update(std::int64_t done, double loss, double neighbour_accuracy) {
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
    const double rate = static_cast<double>(done - first_) / seconds;
    const std::string line =
        "loss " + formatted("%.4f", loss) + "  neighbours " +
        (neighbour_accuracy < 0 ? "-" : formatted("%.1f %%", 100 * neighbour_accuracy)) + "  " +
        formatted("%.0f", rate * static_cast<double>(images_)) + " images/s  " +
        minutes(static_cast<double>(total_ - done) / rate) + " left";
    done_ = done;
#ifdef FEAUG_EXAMPLE_HAS_BARKEEP
    if (both_ != nullptr) {
      status_->message(line);
      return;
    }
#endif
    if (done % updates_an_epoch_ != 0 && done != total_) return;
    std::cerr << "epoch " << (done + updates_an_epoch_ - 1) / updates_an_epoch_ << "/"
              << (total_ + updates_an_epoch_ - 1) / updates_an_epoch_ << "  " << line << std::endl;
  }

  void finish() {
#ifdef FEAUG_EXAMPLE_HAS_BARKEEP
    if (both_ != nullptr) both_->done();
    both_ = nullptr;
#endif
  }

 private:
  std::int64_t total_;
  std::int64_t first_;
  std::int64_t images_;
  std::int64_t updates_an_epoch_;
  std::int64_t done_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
#ifdef FEAUG_EXAMPLE_HAS_BARKEEP
  std::shared_ptr<barkeep::StatusDisplay> status_;
  std::shared_ptr<barkeep::ProgressBarDisplay<std::int64_t>> bar_;
  std::shared_ptr<barkeep::CompositeDisplay> both_;
#endif
};

progress::progress(std::int64_t total, std::int64_t done, std::int64_t images,
                   std::int64_t updates_an_epoch)
    : display_(std::make_unique<display>(total, done, images, updates_an_epoch)) {}
progress::~progress() { finish(); }
void progress::update(std::int64_t done, double loss, double neighbour_accuracy) {
  display_->update(done, loss, neighbour_accuracy);
}
void progress::finish() { display_->finish(); }

}  // namespace trainer
