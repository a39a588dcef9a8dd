// Runs a fuzz target without libFuzzer:
//     feaug_replay_TARGET [--inputs N] [--first SEED] FOLDER…
// First every file of the folders, then N inputs of random bytes, from consecutive seeds. It aborts
// at the first finding and names the input.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/target.hpp"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

std::vector<std::string> files_of(const std::string& folder) {
  std::vector<std::string> paths;
  for (const auto& one : std::filesystem::directory_iterator(folder)) paths.push_back(one.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}

void run(const std::string& name, const std::vector<std::uint8_t>& bytes) {
  fuzz::input_name() = name;
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

std::vector<std::uint8_t> random_bytes(std::uint64_t seed) {
  std::mt19937_64 generator(seed);
  std::vector<std::uint8_t> bytes(static_cast<std::size_t>(generator() % 512));
  for (std::uint8_t& one : bytes) one = static_cast<std::uint8_t>(generator());
  return bytes;
}

}  // namespace

int main(int count, char** words) {
  std::uint64_t inputs = 0;
  std::uint64_t first = 1;
  std::size_t files = 0;
  for (int i = 1; i < count; ++i) {
    const std::string_view word = words[i];
    if ((word == "--inputs" || word == "--first") && i + 1 < count) {
      (word == "--inputs" ? inputs : first) = std::strtoull(words[++i], nullptr, 10);
      continue;
    }
    for (const std::string& path : files_of(words[i])) {
      std::ifstream file(path, std::ios::binary);
      run(path, {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
      ++files;
    }
  }
  for (std::uint64_t seed = first; seed < first + inputs; ++seed)
    run("seed " + std::to_string(seed), random_bytes(seed));
  std::cout << files << " files and " << inputs << " random inputs: no finding" << std::endl;
  return 0;
}
