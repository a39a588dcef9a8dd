// Pictures of a run: its training curves and its features.
#pragma once

#include <string>

#include "dataset.hpp"
#include "feaug/cpu/core/context.hpp"
#include "trainer.hpp"

namespace trainer {

/// Creates the folder if needed. Throws user_error if it is not writable or gnuplot is missing.
void require_plots(const std::string& folder);

/// Writes to the folder
///   training.png     loss and neighbour accuracy, update by update
///   projection.png   held-out features on their two main axes, coloured by class
///   neighbours.png   a held-out image of each class and the training images nearest to it
/// and the numbers of each picture as a text file.
void write_plots(feaug::cpu_context& ctx, const std::string& folder, training& run,
                 const fashion_mnist& data);

}  // namespace trainer
