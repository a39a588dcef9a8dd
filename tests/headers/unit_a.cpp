#include "unit.hpp"

double loss_in_unit_a() { return loss_of_two_pairs(); }
