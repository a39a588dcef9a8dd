// Random calls of losses, augmentations, queues and searches of the CPU, with random shapes, strides,
// types, options, stopped sides and instruction sets, beside references; and invalid calls.
#include "fuzz/augmentations.hpp"
#include "fuzz/losses.hpp"
#include "fuzz/searches.hpp"
#include "fuzz/target.hpp"

void fuzz::try_one(choices& choose) {
  switch (choose.between(0, 9)) {
    case 0:
    case 1:
      return try_augmentation(choose);
    case 2:
    case 3:
      return try_search(choose);
    case 4:
      return try_refused_loss(choose);
    case 5:
      return try_refused_augmentation(choose);
    default:
      return try_loss(choose);
  }
}
