// Every operator of the CPU with random shapes, strides, types, options, stopped sides and
// instruction sets, beside a reference in double; and invalid calls.
#include "fuzz/augmentations.hpp"
#include "fuzz/losses.hpp"
#include "fuzz/searches.hpp"
#include "fuzz/target.hpp"

void fuzz::try_one(choices& choose) {
  switch (choose.between(0, 7)) {
    case 0:
    case 1:
      return try_augmentation(choose);
    case 2:
      return try_search(choose);
    case 3:
      return try_refused_loss(choose);
    default:
      return try_loss(choose);
  }
}
