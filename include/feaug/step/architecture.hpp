// The structure of a training step: which features are compared, and by which loss.
#pragma once

#include "feaug/header_begin.hpp"

#include "feaug/version.hpp"

namespace feaug::inline FEAUG_VERSION_NAMESPACE {

/// The positions of the feature augmentation FA and the predictor h, for the direction from view a
/// to view b (arXiv 2410.12396). sg is stop-gradient. FA(x) augments unit(x).
enum class architecture {
  basic,               ///< z_a         against FA(sg z_b)
  pre_predictor,       ///< h(FA(z_a))  against sg z_b
  post_predictor,      ///< FA(h(z_a))  against sg z_b
  parallel_predictor,  ///< h(z_a)      against FA(sg z_b)
};

/// How prediction and target are compared.
enum class paradigm {
  similarity,      ///< instance similarity: negative_cosine in BYOL's form
  discrimination,  ///< instance discrimination: a contrastive loss over the batch or the queue
};

/// The contrastive loss of instance discrimination.
enum class contrast {
  target_rows,      ///< info_nce with targets as queries and predictions as keys, as NNCLR does
  prediction_rows,  ///< info_nce with predictions as queries and targets as keys, as MoCo does
  both_views,       ///< nt_xent over predictions and targets, as SimCLR does
};

/// How the losses of K augmented samples are reduced.
enum class sample_reduce {
  mean,
  sum,  ///< no division by K: the "free loss" of arXiv 2410.12396
};

}  // namespace feaug::inline FEAUG_VERSION_NAMESPACE

#include "feaug/header_end.hpp"
