// The functions of every_result.cpp, as it is compiled for a plain object and for one with the flags.
#pragma once

#include <string>

extern "C" void results_of_plain_object(std::string& text);
extern "C" void results_of_fast_object(std::string& text);
