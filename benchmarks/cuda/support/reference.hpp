// What is right: the library's CPU side, which is tested against automatic differentiation, finite
// differences and case files. Compiled by the host's compiler alone, apart from all CUDA.
#pragma once

#include <vector>

#include "feaug/cpu/augment/mask.hpp"
#include "feaug/cpu/augment/mix.hpp"
#include "feaug/cpu/augment/noise.hpp"
#include "support/inputs.hpp"

namespace bench::reference {

struct contrast {
  double loss = 0;
  matrix by_first = {};   ///< gradient by the first argument; empty if it is stopped
  matrix by_second = {};  ///< and by the second
};

contrast nt_xent(const matrix& a, const matrix& b, double temperature);

/// Both sides differentiable.
contrast info_nce(const matrix& queries, const matrix& keys, double temperature);

/// MoCo: keys and negatives are constants, and only `negatives` are negatives.
contrast moco(const matrix& queries, const matrix& keys, const matrix& negatives,
              double temperature);

struct nnclr_step {
  std::vector<index_t> neighbours = {};
  contrast loss = {};   ///< by_second: by the predictions
  matrix storage = {};  ///< of the queue, after the step
};

/// A full queue of unit rows whose next slot is `cursor`; `storage` as it was before.
nnclr_step nnclr(const matrix& storage, index_t cursor, const matrix& targets,
                 const matrix& predictions, double temperature);

/// The mean over the targets, which are constants.
contrast negative_cosine(const matrix& prediction, const std::vector<matrix>& targets);

matrix augment(const feaug::mask& policy, const matrix& x, std::uint64_t seed);
matrix augment(const feaug::gaussian_noise& policy, const matrix& x, std::uint64_t seed);
matrix augment(const feaug::interpolate& policy, const matrix& x, std::uint64_t seed);

}  // namespace bench::reference
