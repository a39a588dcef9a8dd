// Catch2 without its main function: the formulas of the losses are in the units of their tests.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
