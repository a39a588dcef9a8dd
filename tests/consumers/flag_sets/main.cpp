// Prints the results; with FEAUG_OTHER_RESULTS also those of a unit from another compiler.
#include <cstdio>

#include "results.hpp"

#ifdef FEAUG_OTHER_RESULTS
std::string other_results();
#endif

int main() {
  std::fputs(results().c_str(), stdout);
#ifdef FEAUG_OTHER_RESULTS
  std::fputs(other_results().c_str(), stdout);
#endif
}
