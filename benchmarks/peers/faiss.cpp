// FAISS: exact inner-product search (IndexFlatIP) with the system's OpenBLAS.
#include <cblas.h>
#include <faiss/IndexFlat.h>
#include <omp.h>

#include "support/peer.hpp"

namespace {

class search : public bench::contestant {
 public:
  explicit search(const bench::problem& on)
      : index_(on.inputs[0].cols), queries_(on.inputs[1]), threads_(on.threads) {
    index_.add(on.inputs[0].rows, on.inputs[0].values.data());
  }
  void run() override {
    omp_set_num_threads(threads_);
    openblas_set_num_threads(threads_);
    index_.search(queries_.rows, queries_.values.data(), 1, scores_.data(), slots_.data());
  }
  bench::answer result() override { return {.neighbours = {slots_.begin(), slots_.end()}}; }

 private:
  faiss::IndexFlatIP index_;
  bench::matrix queries_;
  int threads_;
  std::vector<float> scores_ = std::vector<float>(static_cast<std::size_t>(queries_.rows));
  std::vector<faiss::Index::idx_t> slots_ =
      std::vector<faiss::Index::idx_t>(static_cast<std::size_t>(queries_.rows));
};

const std::string version = std::to_string(FAISS_VERSION_MAJOR) + "." +
                            std::to_string(FAISS_VERSION_MINOR) + "." +
                            std::to_string(FAISS_VERSION_PATCH);

bool has(std::string_view operation) { return operation == "search"; }

std::unique_ptr<bench::contestant> enter(const bench::problem& on) {
  return std::make_unique<search>(on);
}

}  // namespace

extern "C" const bench::peer* feaug_bench_peer() {
  static const bench::peer self = {.name = "FAISS", .version = version, .has = has, .enter = enter};
  return &self;
}
