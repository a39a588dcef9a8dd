// The choices of a training step: what is compared with what, and how.
#pragma once

#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// Where the feature augmentation FA and the predictor h sit, for the direction from view a to view
/// b; sg stops the gradient (arXiv 2410.12396). FA(x) augments unit(x).
enum class architecture {
  basic,               ///< z_a         against FA(sg z_b)
  pre_predictor,       ///< h(FA(z_a))  against sg z_b
  post_predictor,      ///< FA(h(z_a))  against sg z_b
  parallel_predictor,  ///< h(z_a)      against FA(sg z_b)
};

/// What the pair (prediction, target) is to achieve.
enum class paradigm {
  similarity,      ///< instance similarity: negative_cosine in BYOL's form
  discrimination,  ///< instance discrimination: a contrastive loss over the batch or the queue
};

/// Which contrastive loss instance discrimination uses.
enum class contrast {
  target_rows,      ///< info_nce with targets as queries and predictions as keys, as NNCLR does
  prediction_rows,  ///< info_nce with predictions as queries and targets as keys, as MoCo does
  both_views,       ///< nt_xent over predictions and targets, as SimCLR does
};

/// What becomes of the losses of K augmented samples.
enum class sample_reduce {
  mean,
  sum,  ///< the averaging left out: the “free loss” of arXiv 2410.12396
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE
