// What the program of this folder computes, in any build.
#pragma once

#include <string>

/// One line for each result: its name, then its numbers. Names begin with "exact", where every build
/// must have the same numbers (neighbours, random draws, masks), or with "near".
std::string results();
