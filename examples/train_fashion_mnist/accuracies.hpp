// Quality of frozen features: two accuracies.
#pragma once

namespace trainer {

struct accuracies {
  double linear = 0;  ///< of a multinomial logistic regression, as a fraction
  double knn = 0;     ///< of 20 nearest neighbours by cosine, votes weighted by similarity
};

}  // namespace trainer
