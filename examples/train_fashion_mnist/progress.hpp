// Progress display: a bar in a terminal, plain lines elsewhere.
#pragma once

#include <cstdint>
#include <memory>

namespace trainer {

class progress {
 public:
  /// `total` updates, of which the resumed run already made `done`; `images` images per update.
  progress(std::int64_t total, std::int64_t done, std::int64_t images,
           std::int64_t updates_an_epoch);
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;
  ~progress();

  /// Call it after every update. `neighbour_accuracy` is negative while the queue is empty.
  void update(std::int64_t done, double loss, double neighbour_accuracy);
  /// Call it before anything else is printed.
  void finish();

 private:
  class display;
  std::unique_ptr<display> display_;
};

}  // namespace trainer
