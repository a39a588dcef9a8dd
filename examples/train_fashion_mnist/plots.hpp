// Pictures of a run: how it went, and what its features look like.
#pragma once

#include <string>

#include "dataset.hpp"
#include "feaug/cpu/core/context.hpp"
#include "trainer.hpp"

namespace trainer {

/// Makes the folder if need be. Throws user_error if nothing can be written there, or nothing
/// drawn.
void require_plots(const std::string& folder);

/// Writes to the folder
///   training.png     loss and neighbour accuracy, update by update
///   projection.png   held-out features on their two main axes, coloured by class
///   neighbours.png   a held-out image of each class and the training images nearest to it
/// and beside each picture the numbers that it shows, as text.
void write_plots(feaug::cpu_context& ctx, const std::string& folder, training& run,
                 const fashion_mnist& data);

}  // namespace trainer
