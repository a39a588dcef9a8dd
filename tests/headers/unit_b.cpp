#include "unit.hpp"

double loss_in_unit_b() { return loss_of_two_pairs(); }
