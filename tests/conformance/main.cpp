// Compares the library with case files: independent float64 references of every operator.
#include <iostream>
#include <stdexcept>

#include "backends.hpp"
#include "command_line.hpp"
#include "runner.hpp"

int main(int count, char** words) {
  conformance::command_line line;
  try {
    line = conformance::read_command_line({words + 1, words + count});
  } catch (const std::invalid_argument& problem) {
    std::cerr << "feaug_conformance: " << problem.what() << "\n" << conformance::usage();
    return 2;
  }
  if (line.help) {
    std::cout << conformance::usage();
    return 0;
  }
  const std::string missing = conformance::missing_for(line.backend);
  if (!missing.empty()) {
    std::cout << "skipped: " << missing << "\n";
    return 77;  // the exit code that ctest counts as skipped
  }
  // All output goes to one stream, so that the final count is also the last line if both streams
  // are redirected to the same place.
  conformance::runner runner(conformance::operators_of(line.backend, line.type), line.type,
                             std::cout);
  for (const std::string& file : line.files) runner.run_file(file);
  return runner.report() ? 0 : 1;
}
