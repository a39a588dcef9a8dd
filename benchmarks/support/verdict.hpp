// Correctness checks: a benchmark refuses to time a wrong result.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

namespace bench {

/// ‖got − want‖ / ‖want‖; infinite for NaN or a wrong size.
inline double relative_error(const std::vector<float>& got, const std::vector<float>& want) {
  if (got.size() != want.size()) return HUGE_VAL;
  double off = 0;
  double all = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double w = want[i];
    off += (got[i] - w) * (got[i] - w);
    all += w * w;
  }
  const double error = std::sqrt(off / all);
  return error >= 0 ? error : HUGE_VAL;
}

/// Records a failed check of a result.
class verdict {
 public:
  void close(const char* what, double error, double tolerance) {
    if (error <= tolerance) return;
    char numbers[64];
    std::snprintf(numbers, sizeof numbers, " is off by %.1e, allowed %.1e", error, tolerance);
    complaint_ = std::string("wrong answer, timing refused: ") + what + numbers;
  }
  void loss(double got, double want, double tolerance) {
    close("the loss",
          std::abs(got - want) <= HUGE_VAL ? std::abs(got - want) / std::abs(want) : HUGE_VAL,
          tolerance);
  }
  [[nodiscard]] const std::string& complaint() const { return complaint_; }
  /// Throws if a check failed.
  void must_be_right() const {
    if (!complaint_.empty()) throw std::runtime_error(complaint_);
  }

 private:
  std::string complaint_;
};

}  // namespace bench
