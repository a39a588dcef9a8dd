// The system's OpenBLAS: a matrix product, as the ceiling for products on this machine.
#include <cblas.h>

#include "support/peer.hpp"

namespace {

/// C = A · Bᵀ.
class product : public bench::contestant {
 public:
  explicit product(const bench::problem& on)
      : a_(on.inputs[0]), b_(on.inputs[1]), threads_(on.threads) {}
  void run() override {
    openblas_set_num_threads(threads_);
    const auto extent = [](bench::index_t n) { return static_cast<blasint>(n); };
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, extent(a_.rows), extent(b_.rows),
                extent(a_.cols), 1.0F, a_.values.data(), extent(a_.cols), b_.values.data(),
                extent(b_.cols), 0.0F, out_.values.data(), extent(out_.cols));
  }
  bench::answer result() override { return {}; }

 private:
  bench::matrix a_;
  bench::matrix b_;
  bench::matrix out_ = bench::zeros(a_.rows, b_.rows);
  int threads_;
};

bool has(std::string_view operation) { return operation == "product"; }

std::unique_ptr<bench::contestant> enter(const bench::problem& on) {
  return std::make_unique<product>(on);
}

}  // namespace

extern "C" const bench::peer* feaug_bench_peer() {
  static const bench::peer self = {
      .name = "OpenBLAS", .version = openblas_get_config(), .has = has, .enter = enter};
  return &self;
}
