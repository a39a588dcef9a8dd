// Reference results from the library's CPU backend, which is tested against automatic
// differentiation, finite differences and independent float64 references (tests/conformance).
// Compiled by the host compiler only, separately from CUDA code.
#pragma once

#include <vector>

#include "feaug/cpu/augment/mask.hpp"
#include "feaug/cpu/augment/mix.hpp"
#include "feaug/cpu/augment/noise.hpp"
#include "support/inputs.hpp"

namespace bench::reference {

struct contrast {
  double loss = 0;
  matrix by_first = {};   ///< gradient w.r.t. the first argument; empty if that is a constant
  matrix by_second = {};  ///< gradient w.r.t. the second argument
};

contrast nt_xent(const matrix& a, const matrix& b, double temperature);

/// Both sides have gradients.
contrast info_nce(const matrix& queries, const matrix& keys, double temperature);

/// MoCo: keys and negatives are constants, and only `negatives` are negatives.
contrast moco(const matrix& queries, const matrix& keys, const matrix& negatives,
              double temperature);

struct nnclr_step {
  std::vector<index_t> neighbours = {};
  contrast loss = {};   ///< by_second: w.r.t. the predictions
  matrix storage = {};  ///< the queue's storage after the step
};

/// The queue is full of unit rows and its next slot is `cursor`; `storage` is its state before the
/// step.
nnclr_step nnclr(const matrix& storage, index_t cursor, const matrix& targets,
                 const matrix& predictions, double temperature);

/// The mean over the targets, which are constants.
contrast negative_cosine(const matrix& prediction, const std::vector<matrix>& targets);

matrix augment(const feaug::mask& policy, const matrix& x, std::uint64_t seed);
matrix augment(const feaug::gaussian_noise& policy, const matrix& x, std::uint64_t seed);
matrix augment(const feaug::interpolate& policy, const matrix& x, std::uint64_t seed);

}  // namespace bench::reference
