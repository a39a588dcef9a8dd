// Compares the results of objects that were compiled with different flags and are linked into this
// program, and with those of another program. The linker keeps one copy of each inline function, of
// whichever object comes first. With plug_ins.cpp in place of the objects, this program loads them.
//
//     write FILE     also writes the results of the plain object to FILE
//     compare FILE   also compares them with FILE
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>

#include "results.hpp"

namespace {

/// Prints the lines in which the texts differ. Returns whether there are none.
bool are_equal(const std::string& a, const std::string& b) {
  if (a == b) return true;
  std::size_t at = 0;
  std::size_t other = 0;
  while (at < a.size() && other < b.size()) {
    const std::size_t end = a.find('\n', at);
    const std::size_t other_end = b.find('\n', other);
    const std::string line = a.substr(at, end - at);
    const std::string other_line = b.substr(other, other_end - other);
    if (line != other_line) std::printf("%s\n%s\n\n", line.c_str(), other_line.c_str());
    if (end == std::string::npos || other_end == std::string::npos) break;
    at = end + 1;
    other = other_end + 1;
  }
  return false;
}

}  // namespace

int main(int count, char** words) {
  if (count != 3) return 2;
  const std::string verb = words[1];
  std::string plain;
  std::string fast;
  results_of_plain_object(plain);
  results_of_fast_object(fast);
  bool equal = are_equal(plain, fast);
  if (verb == "write") {
    std::ofstream(words[2]) << plain;
  } else {
    std::ifstream file(words[2]);
    const std::string expected(std::istreambuf_iterator<char>(file), {});
    equal = are_equal(plain, expected) && equal;
  }
  return equal ? 0 : 1;
}
