// One of the units of feaug_headers_twice; see main.cpp.
#include "unit.hpp"

double loss_in_unit_b() { return loss_of_two_pairs(); }
